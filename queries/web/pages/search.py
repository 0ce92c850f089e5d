"""One box for everything: an address, a concept, a word or a meaning. It says which it took."""

from __future__ import annotations

from typing import Any

from atlas.errors import AtlasError, UsageError
from atlas.sites import format_neuron, parse_neuron
from queries.fits import all_fits
from queries.search import search
from queries.session.vectors import embedder_of
from queries.tokens import token_forms
from queries.web.asked import Asked
from queries.web.commands import command
from queries.web.page import Page

MEANING, TOKENS = "meaning", "tokens"
"""How neurons are searched: by embedded descriptions, or by the tokens of the words."""


def search_page(asked: Asked) -> Page:
    """What the words in `q` can mean here, best guess first."""
    words = asked.text("q", 1000)
    if words is None:
        return Page("Search", "search.html", {"words": "", "taken": [], "found": None, "problem": None, "by": None})
    by = asked.choice("by", (MEANING, TOKENS), MEANING)
    embed = asked.embed if by == MEANING else None
    taken = list(_taken(asked, words))
    found: Any = None
    problem = None
    if not any(kind == "neuron" for kind, *_ in taken):
        try:
            found = search(asked.atlas, words, limit=20, embed=embed)
        except AtlasError as error:
            problem = f"{error.message}. {error.hint}" if error.hint else error.message
    context = {"words": words, "taken": taken, "found": found, "problem": problem}
    context["by"] = TOKENS if embed is None else MEANING
    context["meaning"] = asked.embed is not None
    context["embedder"] = embedder_of(asked.atlas)
    embedder = None if embed is not None or context["embedder"] is None else TOKENS
    return Page(
        f"{words} · search", "search.html", context, found, command(asked.atlas, "search", words, embedder=embedder)
    )


def _taken(asked: Asked, words: str) -> Any:
    """(kind of page, what it is about, why) of each page that the words name."""
    try:
        yield "neuron", format_neuron(*parse_neuron(words.strip().upper())), "an address"
    except UsageError:
        pass
    names = {name for fit in all_fits(asked.atlas).values() for name, _ in fit.concepts.values()}
    exact = [name for name in sorted(names) if name.casefold() == words.strip().casefold()]
    near = [name for name in sorted(names) if name not in exact and words.strip().casefold() in name.casefold()]
    for name in (exact + near)[:5]:
        yield "concept", name, "a concept" if name in exact else "part of a concept's name"
    try:
        forms = token_forms(asked.atlas, words).column("token")
    except AtlasError:
        return
    yield "token", words, f"a word: {len(forms)} token{'s' if len(forms) != 1 else ''}"
