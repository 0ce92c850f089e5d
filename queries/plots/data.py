"""What the pictures show, as plain numbers: one neuron of one fit under every concept. No drawing here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.fit_choice import FitChoice
from atlas.schema.measures import MEASURES
from atlas.sites import format_neuron
from atlas.store.reader import Atlas
from queries.card_rows import Read, read
from queries.fits import Fit, fits_of_neurons
from queries.measured import EXPECTED, GAUSSIANS, INTERVALS, SIGNIFICANCE, card_columns
from queries.measured import RANGES as MEASURED_RANGES

INTERVAL, GAUSSIAN = RANGES = ("interval", "gaussian")


@dataclass(frozen=True)
class Span:
    """A range of a neuron under a concept, infinite where it is open, and the shares that it holds.

    Of an interval the shares are held out, of mean ± tau std they are those of the texts that it was made of.
    `expected`: coverage and leakage to expect of an interval on new texts, where that is known.
    """

    lower: float
    upper: float
    coverage: float | None
    leakage: float | None
    expected: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bump:
    """The activations of one neuron on one set of examples: fitted Gaussian, histogram, ranges by kind.

    `counts` has one number per bin; bins are shared by all bumps of a neuron and a fit.
    """

    name: str
    n: int
    mean: float
    std: float
    counts: list[int]
    auc: float | None = None
    spans: dict[str, Span] = field(default_factory=dict)

    def told_apart(self, kind: str) -> float:
        """How well the neuron tells the concept: by coverage - leakage of its interval, or by AUC on either side."""
        if kind == GAUSSIAN:
            return -1.0 if self.auc is None else abs(self.auc - 0.5)
        span = self.spans.get(kind)
        return -2.0 if span is None or span.coverage is None or span.leakage is None else span.coverage - span.leakage


class Stored(NamedTuple):
    """What the atlas has of one neuron, of every fit: a row of numbers by (fit_id, concept_id), ranges also by tau.

    `ends`: the outer edges of its bins by fit_id.
    """

    address: str
    tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]]
    counts: dict[tuple[int, int], Sequence[int] | None]
    ends: dict[int, tuple[float, float]]


_TABLES = (GAUSSIANS, MEASURED_RANGES, INTERVALS, SIGNIFICANCE)


HISTOGRAMS = ("plot_histograms", "neuron_background")
"""What pictures need besides the tables of measures."""


def stored_of_neuron(atlas: Atlas, layer: int, neuron: int) -> Stored:
    """All rows of one neuron that its pictures need.

    Table by table: a join would take DuckDB twenty times as long as reading these rows does.
    """
    return stored_in(read(atlas, layer, neuron, *_TABLES, *HISTOGRAMS), layer, neuron)


def stored_in(found: Read, layer: int, neuron: int) -> Stored:
    """The same, of what was read: of the tables of measures and HISTOGRAMS."""
    tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for table in _TABLES:
        keys = 3 if table == MEASURED_RANGES else 2
        names = card_columns(table)
        tables[table] = {row[:keys]: dict(zip(names, row[keys:], strict=True)) for row in found[table]}
    counts, ends = (found[name] for name in HISTOGRAMS)
    return Stored(
        format_neuron(layer, neuron),
        tables,
        {(fit_id, concept_id): bins for fit_id, concept_id, bins in counts},
        {fit_id: (least, most) for fit_id, _, _, _, _, _, least, most, *_ in ends},
    )


def measured_fits(atlas: Atlas, stored: Stored, choice: FitChoice) -> list[Fit]:
    """The fits that `choice` allows and that measured the neuron, by family, site and position.

    Without a site in it those of the MLP; a coordinate of the residual stream must be asked for by its site.
    Raises UnknownNameError for a name that no fit has, QuestionError when nothing was measured.
    """
    found = [fit for fit_id, fit in fits_of_neurons(atlas, choice).items() if fit_id in stored.ends]
    if not found:
        which = ", ".join(value for _, value in choice.given()) or "any site of the MLP"
        raise QuestionError(
            f"no activations of {stored.address} were measured for {which}",
            "`neuron-atlas info` lists what was.",
        )
    return sorted(found, key=lambda fit: (fit.family, fit.site, fit.position, fit.fit_id))


def kind_of(fit: Fit, range: str | None, tau: float | None) -> str:
    """Which kind of range of a fit is shaded: the named one, else the interval unless a half-width is asked for.

    UnknownNameError for a name that is none, QuestionError for intervals that the fit has not.
    """
    if range is not None and range not in RANGES:
        raise UnknownNameError("range", range, RANGES)
    known = fit.folds is not None and len(fit.concepts) > 1  # of a concept that is alone it holds every value
    if range == INTERVAL and not known:
        raise QuestionError(
            f"{fit.family} at {fit.site} has no intervals to show",
            "`neuron-atlas build --add` with the same corpus adds them.",
        )
    return range or (INTERVAL if known and tau is None else GAUSSIAN)


def bumps_of(
    stored: Stored, fit: Fit, tau: float | None = None, kind: str = GAUSSIAN
) -> tuple[list[float], list[Bump]]:
    """(bin edges, bumps of all concepts of the fit), best separated first: by AUC, or by held-out shares.

    There is one edge more than counts, in units of the activation. Raises QuestionError when the atlas has
    no histogram of this neuron, or it has the same activation on all examples.
    """
    concepts = [place for place in stored.tables[GAUSSIANS] if place[0] == fit.fit_id]
    counts = [stored.counts.get(place) for place in concepts]
    if not concepts or any(bins is None for bins in counts):
        raise QuestionError(f"no histogram of {stored.address} is stored", "Rebuild the atlas to draw it.")
    first, last = stored.ends[fit.fit_id]
    if not last > first:
        raise QuestionError(f"{stored.address} is {first:g} on every example", "There is nothing to draw.")
    bumps = [_bump(stored, fit, place, tau) for place in concepts]
    bins = len(bumps[0].counts)
    edges = [first + (last - first) * step / bins for step in range(bins + 1)]
    return edges, sorted(bumps, key=lambda bump: (-bump.told_apart(kind), bump.name))


def _bump(stored: Stored, fit: Fit, place: tuple[int, int], tau: float | None) -> Bump:
    """The bump of one concept, its numbers computed as on the card."""
    numbers: dict[str, Any] = {"tau": tau}
    for table in _TABLES:
        numbers |= stored.tables[table].get((*place, tau) if table == MEASURED_RANGES else place, {})
    numbers["n_all"] = fit.n if numbers["n_all"] is None else numbers["n_all"]

    def span(*names: str) -> Span | None:
        lower, upper, coverage, leakage = (MEASURES[name].of(numbers) for name in names)
        return None if lower is None or upper is None else Span(lower, upper, coverage, leakage)

    spans = {
        GAUSSIAN: span("lower", "upper", "coverage", "leakage"),
        INTERVAL: span("interval_lower", "interval_upper", "held_out_coverage", "held_out_leakage"),
    }
    interval, (inside, outside) = spans[INTERVAL], (numbers.get(name) for name in EXPECTED)
    if interval is not None and inside is not None and outside is not None:
        spans[INTERVAL] = replace(interval, expected=(inside, outside))
    return Bump(
        name=fit.concepts[place[1]][0],
        n=numbers["n"],
        mean=numbers["mean"],
        std=numbers["std"],
        counts=list(stored.counts[place] or ()),
        auc=MEASURES["auc"].of(numbers),
        spans={name: found for name, found in spans.items() if found is not None},
    )


def rest_of(bumps: list[Bump], concept: str) -> Bump:
    """All examples of the other concepts as one bump: pooled count, mean, population std and histogram."""
    others = [bump for bump in bumps if bump.name != concept]
    n = sum(bump.n for bump in others)
    if not n:
        raise UsageError(f"{concept!r} is the only concept of its family", "There is nothing beside it.")
    mean = sum(bump.n * bump.mean for bump in others) / n
    variance = sum(bump.n * (bump.std**2 + (bump.mean - mean) ** 2) for bump in others) / n
    counts = [sum(column) for column in zip(*(bump.counts for bump in others), strict=True)]
    return Bump("all others", n, mean, math.sqrt(variance), counts)
