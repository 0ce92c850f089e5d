"""Two atlases of the server beside each other: how far they agree, layer by layer, and a neuron in both."""

from __future__ import annotations

import shlex
from itertools import groupby
from typing import Any

from atlas.answers.result import Document, Result
from atlas.errors import AtlasError, QuestionError, UnknownNameError, UsageError
from atlas.sites import format_neuron, parse_neuron
from atlas.store.reader import Atlas
from queries.compare import compare
from queries.compare_neuron import compare_neuron
from queries.plots.data import Bump, bumps_of, kind_of, measured_fits, stored_of_neuron
from queries.session.session import session_of
from queries.web.asked import Asked
from queries.web.charts.agreement import Agreement, agreement
from queries.web.charts.density import Density, density, ends_of
from queries.web.page import Page
from queries.web.served import Served

MOST_DRAWN = 12
"""Concepts of a fit whose distributions are drawn."""


class _Kept(Result):
    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 200 * len(self.rows)


def compare_page(asked: Asked) -> Page:
    """This atlas and the one that `with` names; `neuron` in both."""
    others = [served for served in asked.served if served.path != asked.atlas.path]
    if not others:
        raise QuestionError("this server has one atlas", "Start it with two: neuron-atlas serve BASE TUNED.")
    chosen = _chosen(others, asked.text("with", 200))
    address = asked.text("neuron", 40)
    vectors = asked.flag("vectors")
    with chosen.atlas() as other:
        found, problem = _agreement(asked.atlas, other, vectors)
        neuron, pictures, failure = None, [], None
        if address is not None:
            try:
                address = format_neuron(*parse_neuron(address.strip().upper()))
                neuron = compare_neuron(asked.atlas, other, address, fit=asked.fit)
                pictures = _pictures(asked, other, address)
            except AtlasError as error:
                failure = error
        words = ["neuron-atlas", "compare", str(asked.atlas.path), str(other.path)]
        words += ["--by", "layer"] if neuron is None else ["--neuron", str(neuron.fields["address"])]
        context: dict[str, Any] = {
            "others": others,
            "chosen": chosen,
            "other": other.manifest,
            "found": found,
            "problem": problem,
            "charts": [] if found is None else _charts(found),
            "vectors": vectors,
            "address": address,
            "neuron": neuron,
            "tokens": [] if neuron is None else _tokens(neuron),
            "failure": ""
            if failure is None
            else f"{failure.message}. {failure.hint}"
            if failure.hint
            else failure.message,
            "pictures": pictures,
        }
    answer = neuron if neuron is not None else found
    title = f"Compare with {chosen.name}" if neuron is None else f"{address} in both"
    return Page(title, "compare.html", context, answer, shlex.join(words), problem=failure)


def _chosen(others: list[Served], name: str | None) -> Served:
    if name is None:
        return others[0]
    for served in others:
        if served.name == name:
            return served
    raise UnknownNameError("atlas", name, [served.name for served in others])


def _agreement(base: Atlas, other: Atlas, vectors: bool) -> tuple[Result | None, str]:
    """What `neuron-atlas compare --by layer` answers, or why the two cannot be compared; kept for the next visitor."""

    def read() -> _Kept:
        found = compare(base, other, by="layer", vectors=vectors)
        return _Kept(found.columns, found.rows, found.notes)

    try:
        return session_of(base).read(("agreement", other.manifest.atlas_id, vectors), read), ""
    except (QuestionError, UsageError) as error:
        return None, f"{error.message}. {error.hint}"


def _charts(found: Result) -> list[tuple[str, float, float, Agreement]]:
    """(weight, share of the same top token, the same by chance, chart) over all layers of each weight."""
    charts = []
    for weight, rows in groupby(found, lambda row: row["weight"]):
        listed = list(rows)
        neurons = sum(row["neurons"] for row in listed)
        same, shuffled = (
            sum(row[name] * row["neurons"] for row in listed) / neurons for name in ("same_token", "shuffled")
        )
        charts.append((weight, same, shuffled, agreement(listed)))
    return charts


def _tokens(neuron: Document) -> list[tuple[str, list[tuple[int, list[dict[str, Any]], dict[str, Any]]]]]:
    """(weight, [(sign, rows of the two lists, how many tokens they share)])."""
    shared = {(row["weight"], row["sign"]): row for row in neuron.sections["lists"]}
    return [
        (
            weight,
            [
                (sign, list(listed), shared.get((weight, sign), {}))
                for sign, listed in groupby(of_weight, lambda row: row["sign"])
            ],
        )
        for weight, of_weight in groupby(neuron.sections["tokens"], lambda row: row["weight"])
    ]


def _pictures(asked: Asked, other: Atlas, address: str) -> list[tuple[str, str, list[tuple[str, Density, Density]]]]:
    """(family, where, [(concept, chart here, chart there)]) of fits that both atlases have, each pair on one axis."""
    layer, neuron = parse_neuron(address)
    found = []
    stored = [stored_of_neuron(atlas, layer, neuron) for atlas in (asked.atlas, other)]
    try:
        fits = [measured_fits(atlas, each, asked.fit) for atlas, each in zip((asked.atlas, other), stored, strict=True)]
    except QuestionError:
        return []
    for fit in fits[0]:
        same = next((each for each in fits[1] if each[1:4] == fit[1:4]), None)
        if same is None:
            continue
        try:
            sides = [
                (*bumps_of(rows, each, None, kind), kind)
                for rows, each in zip(stored, (fit, same), strict=True)
                for kind in [kind_of(each, None, None)]
            ]
        except AtlasError:
            continue
        found.append((fit.family, f"{fit.site}, position {fit.position}", list(_pairs(*sides))[:MOST_DRAWN]))
    return found


_Side = tuple[list[float], list[Bump], str]


def _pairs(one: _Side, other: _Side) -> Any:
    """The charts of each concept that both sides have; the axis of a pair holds both."""
    theirs = {bump.name: bump for bump in other[1]}
    for bump in one[1]:
        if bump.name not in theirs:
            continue
        ends = [
            ends_of(edges, [each], each.spans.get(kind))
            for (edges, _, kind), each in ((one, bump), (other, theirs[bump.name]))
        ]
        axis = min(low for low, _ in ends), max(high for _, high in ends)
        charts = (
            density(edges, [each], each.spans.get(kind), axis)
            for (edges, _, kind), each in ((one, bump), (other, theirs[bump.name]))
        )
        yield (bump.name, *charts)
