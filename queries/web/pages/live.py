"""Your text: its tokens shaded by a neuron, and the neurons that are farthest out at each of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, TypeVar

from atlas.answers.result import Result
from atlas.errors import AtlasError, AtlasFileError
from atlas.sites import DEFAULT_SITE, SITES, format_neuron, parse_neuron
from queries.fits import all_fits
from queries.web.asked import Asked
from queries.web.commands import command
from queries.web.exemplar_view import shaded
from queries.web.live import LONGEST_TEXT
from queries.web.page import Page

TOP, MOST_TOP = 3, 20
EXAMPLE = "The striker scored twice before half-time, and the dog next door barked at every goal."
T = TypeVar("T")


def live_page(asked: Asked) -> Page:
    """What the model computes on a visitor's text. With a neuron its activations are the answer, else `fires`."""
    assert asked.live is not None  # the registry says that the page is there with a model alone
    live, problems = asked.live, dict[str, AtlasError]()
    text = _tried(problems, "text", lambda: asked.text("text", LONGEST_TEXT))
    neuron = _tried(problems, "neuron", lambda: _neuron(asked))
    site = _tried(problems, "site", lambda: asked.choice("site", list(SITES), DEFAULT_SITE)) or DEFAULT_SITE
    top = _tried(problems, "top", lambda: asked.integer("top", TOP, least=1, most=MOST_TOP)) or TOP
    concept = asked.text("concept", 500)
    read: Result | None = None
    fired: Result | None = None
    if text is not None and not problems:
        if neuron is not None:
            layer, number = neuron
            read = _tried(
                problems,
                "neuron",
                lambda: live.activations(text, layer=layer, neuron=number, site=site, stopped=asked.stopped),
            )
        fired = _tried(
            problems,
            "fires",
            lambda: live.fires(asked.atlas, text, top=top, concept=concept, stopped=asked.stopped),
        )
    context: dict[str, Any] = {
        "text": text or "",
        "address": None if neuron is None else format_neuron(*neuron),
        "typed": asked.text("neuron", 40) or "",
        "site": site,
        "top": top,
        "concept": concept,
        "concepts": sorted({name for fit in all_fits(asked.atlas).values() for name, _ in fit.concepts.values()}),
        "sites": [each.name for each in SITES.values() if each.width == "d_mlp"],
        "pieces": None if read is None else shaded(read.column("token"), read.column("value")),
        "extremes": None if read is None else _extremes(read),
        "fired": fired,
        "by_token": [] if fired is None else _by_token(fired),
        "problems": problems,
        "example": EXAMPLE,
        "longest": LONGEST_TEXT,
    }
    first = problems.get("fires") if read is None else None
    asks = None if text is None else command(asked.atlas, "fires", text, top=top, concept=concept)
    title = "Your text" if neuron is None else f"Your text by {format_neuron(*neuron)}"
    problem = first or next((error for name, error in problems.items() if name != "fires"), None)
    return Page(title, "live.html", context, read or fired, asks, problem=problem)


def _tried(problems: dict[str, AtlasError], name: str, ask: Callable[[], T]) -> T | None:
    """The answer; None where it is an error, which the page says in its place. AtlasFileError is of no part alone."""
    try:
        return ask()
    except AtlasFileError:
        raise
    except AtlasError as error:
        problems[name] = error
        return None


def _neuron(asked: Asked) -> tuple[int, int] | None:
    address = asked.text("neuron", 40)
    return None if address is None else parse_neuron(address.strip().upper())


def _extremes(read: Result) -> tuple[float, float] | None:
    values = [value for value in read.column("value") if value is not None]
    return (min(values), max(values)) if values else None


def _by_token(fired: Result) -> list[tuple[str, list[dict[str, Any]]]]:
    """(token, its neurons) in the order of the text."""
    by_position = groupby(fired.dicts(), key=lambda row: row["position"])
    lists = [list(rows) for _, rows in by_position]
    return [(rows[0]["token"], rows) for rows in lists]
