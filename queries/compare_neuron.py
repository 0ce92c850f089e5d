"""One neuron in two atlases: the tokens of its weights and its intervals, beside each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from atlas.answers.result import Document, Result
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.sites import format_neuron, parse_neuron
from atlas.store.reader import Atlas
from queries.answering import question
from queries.card import CONCEPTS, TOKENS, neuron_card
from queries.compare import identity_notes

SHOWN = (
    *("n", "interval_lower", "interval_upper", "held_out_coverage", "held_out_leakage"),
    *("lower", "upper", "coverage", "leakage", "auc"),
)
"""What is compared of a neuron under a concept, in columns base_… and tuned_…."""
_PLACE = ("family", "concept", "site", "position")
_LIST = ("weight", "sign", "rank")


@question
def compare_neuron(base: Atlas, tuned: Atlas, address: str, *, fit: FitChoice = ANY_FIT) -> Document:
    """The neuron at `address` in two atlases. Fields address, layer, neuron, base and tuned (the models).

    Section `tokens`: columns weight, sign, rank, base_token, base_cosine, tuned_token, tuned_cosine, and in_both:
    whether the base's token is anywhere in the tuned one's list as it is shown. `lists`: weight, sign, shared (tokens
    that both lists have) of how many. `concepts`: one row a concept that both have at the same site and position, with
    base_… and tuned_… of SHOWN; ordered by the base's.

    Raises as `neuron_card`, of either atlas.
    """
    layer, neuron = parse_neuron(address)
    address = format_neuron(layer, neuron)
    cards = [neuron_card(atlas, address, fit=fit) for atlas in (base, tuned)]
    tokens, lists = _tokens(*(card.sections.get(TOKENS) for card in cards))
    sections = {"tokens": tokens, "lists": lists, "concepts": _concepts(*(card.sections[CONCEPTS] for card in cards))}
    models = {"base": base.manifest.model_id, "tuned": tuned.manifest.model_id}
    fields = {"address": address, "layer": layer, "neuron": neuron, **models}
    return Document(fields, sections, identity_notes(base, tuned))


def _tokens(base: Result | None, tuned: Result | None) -> tuple[Result, Result]:
    one, other = (_by(found, _LIST) for found in (base, tuned))
    held = [_texts(rows) for rows in (one.values(), other.values())]
    rows = []
    for place in dict.fromkeys([*one, *other]):
        both = [found.get(place, {}) for found in (one, other)]
        theirs = both[0].get("token") in held[1].get(place[:2], ()) if both[0] else None
        rows.append((*place, *(each.get(name) for each in both for name in ("token", "cosine")), theirs))
    shared = [
        (*place, len(texts & held[1].get(place, set())), max(len(texts), len(held[1].get(place, ()))))
        for place, texts in held[0].items()
    ]
    columns = [*_LIST, "base_token", "base_cosine", "tuned_token", "tuned_cosine", "in_both"]
    return Result(columns, rows), Result(["weight", "sign", "shared", "tokens"], shared)


def _texts(rows: Iterable[dict[str, Any]]) -> dict[tuple[Any, ...], set[str]]:
    """The tokens of each list."""
    found: dict[tuple[Any, ...], set[str]] = {}
    for row in rows:
        found.setdefault((row["weight"], row["sign"]), set()).add(row["token"])
    return found


def _concepts(base: Result, tuned: Result) -> Result:
    one, other = _by(base, _PLACE), _by(tuned, _PLACE)
    rows = [
        (*place, *(found[place].get(name) for found in (one, other) for name in SHOWN))
        for place in one
        if place in other
    ]
    columns = [*_PLACE, *(f"{side}_{name}" for side in ("base", "tuned") for name in SHOWN)]
    notes = [] if rows else ["no concept is in both atlases at the same site and position"]
    return Result(columns, rows, notes)


def _by(found: Result | None, names: tuple[str, ...]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by their place; of several, fits that differ by template alone, the first."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in found if found is not None else ():
        rows.setdefault(tuple(row[name] for name in names), row)
    return rows
