"""Everything about one neuron on a page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from atlas.answers.result import Document
from atlas.errors import AtlasError, QuestionError
from atlas.sites import DEFAULT_SITE, format_neuron, parse_neuron
from atlas.sites import site as site_of
from atlas.store.ahead import Statement
from queries.card import card_reading, card_statements, neuron_card
from queries.card_rows import Read
from queries.exemplars import HISTOGRAM, exemplars
from queries.graph import neuron_graph
from queries.nearest import DEFAULT_WEIGHT as NEAREST_BY
from queries.nearest import nearest
from queries.plots.data import (
    HISTOGRAMS,
    INTERVAL,
    Bump,
    Stored,
    bumps_of,
    kind_of,
    measured_fits,
    stored_in,
    stored_of_neuron,
)
from queries.plots.plot import MOST_FITS
from queries.require import require_neuron
from queries.running_text import exemplar_statements
from queries.stored_nearest import nearest_statements
from queries.web.asked import Asked
from queries.web.charts.density import Density, density, ends_of
from queries.web.charts.octaves import Octaves, octaves
from queries.web.commands import command
from queries.web.exemplar_view import shown_exemplars
from queries.web.numbers import figure
from queries.web.page import Page
from queries.web.previews import preview_of

NEAREST = 8


def neuron_page(asked: Asked) -> Page:
    """The card of a neuron, with pictures, exemplars, neighbours."""
    with asked.atlas.ahead(_statements(asked)):
        return _page(asked)


def _page(asked: Asked) -> Page:
    atlas = asked.atlas
    texts = _answer(lambda: exemplars(atlas, asked.part))
    found = _reading(asked)
    card = neuron_card(atlas, asked.part, fit=asked.fit, texts=texts, found=found)
    layer, neuron = card.fields["layer"], card.fields["neuron"]
    address = format_neuron(layer, neuron)
    stored = stored_in(found, layer, neuron) if found else stored_of_neuron(atlas, layer, neuron)
    context: dict[str, Any] = {
        "card": card,
        "address": address,
        "before": format_neuron(layer, neuron - 1) if neuron else None,
        "after": _after(asked, layer, neuron),
        "tokens": _tokens(card),
        "fits": sorted(_fits(asked, stored), key=_told, reverse=True),
        "often": _often(texts),
        "texts": None if texts is None else (texts, shown_exemplars(texts.sections["exemplars"])),
        "neighbours": _answer(lambda: nearest(atlas, address, limit=NEAREST)),
        "graph": _answer(lambda: neuron_graph(atlas, address)),
    }
    sql = f"SELECT * FROM neuron_tokens({layer}, {neuron})"
    asks = command(atlas, "neuron", address, fit=asked.fit)
    preview = preview_of(asked, "neuron", address) if 0 < len(context["fits"]) <= MOST_FITS else None
    return Page(f"{address} · neuron", "neuron.html", context, card, asks, sql, preview)


def _statements(asked: Asked) -> list[Statement]:
    """What the page asks of its neuron, nearly all that it waits for; nothing where it is none of the MLP."""
    atlas = asked.atlas
    try:
        layer, neuron = parse_neuron(asked.part)
        require_neuron(atlas, layer, neuron, atlas.manifest.d_mlp)
    except AtlasError:
        return []
    return [
        *card_statements(atlas, layer, neuron, *HISTOGRAMS),
        *nearest_statements(atlas, NEAREST_BY, layer, neuron),
        *exemplar_statements(atlas, layer, neuron, DEFAULT_SITE)[::-1],
    ]


def _often(texts: Document | None) -> Octaves | None:
    """The picture of its activations over running text; None where there are none."""
    found = None if texts is None else texts.sections.get(HISTOGRAM)
    return None if found is None else octaves(found.dicts(), figure)


def _tokens(card: Document) -> list[tuple[str, list[tuple[int, list[dict[str, Any]]]]]]:
    """(weight, [(sign, tokens)]), and how long the bar of each token is, from 0 to 100."""
    found = card.sections.get("tokens")
    if found is None:
        return []
    rows = found.dicts()
    longest = max((abs(row["cosine"]) for row in rows), default=1.0) or 1.0
    for row in rows:
        row["bar"] = round(100 * abs(row["cosine"]) / longest)
    return [
        (weight, [(sign, list(listed)) for sign, listed in groupby(of_weight, lambda row: row["sign"])])
        for weight, of_weight in groupby(rows, lambda row: row["weight"])
    ]


def _fits(asked: Asked, stored: Stored) -> Iterator[tuple[Any, str, list[tuple[Bump, Density]]]]:
    """(fit, kind of range, pictures of all its concepts, best first) of each fit that measured the neuron."""
    try:
        fits = measured_fits(asked.atlas, stored, asked.fit)
    except QuestionError:
        return
    for fit in fits:
        kind = kind_of(fit, None, None)
        try:
            edges, bumps = bumps_of(stored, fit, None, kind)
        except AtlasError:
            continue
        best = bumps[0].spans.get(kind)
        ends = ends_of(edges, bumps, best if kind == INTERVAL else None)
        yield fit, kind, [(bump, density(edges, [bump], bump.spans.get(kind), ends)) for bump in bumps]


def _told(drawn: tuple[Any, str, list[tuple[Bump, Density]]]) -> float:
    """How well the neuron tells the concept of a fit that it tells best."""
    _, kind, pictures = drawn
    return max((bump.told_apart(kind) for bump, _ in pictures), default=-2.0)


def _reading(asked: Asked) -> Read | None:
    """What the card and the pictures are made of, read once; None for another site than those of the MLP."""
    if asked.fit.site is not None and site_of(asked.fit.site).width != "d_mlp":
        return None
    layer, neuron = parse_neuron(asked.part)
    require_neuron(asked.atlas, layer, neuron, asked.atlas.manifest.d_mlp)
    return card_reading(asked.atlas, layer, neuron, *HISTOGRAMS)


def _after(asked: Asked, layer: int, neuron: int) -> str | None:
    return format_neuron(layer, neuron + 1) if neuron + 1 < asked.atlas.manifest.d_mlp else None


def _answer(ask: Any) -> Any:
    """The answer, or None where this atlas cannot give it: the page then says so in the place of the section."""
    try:
        return ask()
    except QuestionError:
        return None
