"""What the pictures show, as plain numbers: one neuron of one fit under every concept. No drawing here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.fit_choice import FitChoice
from atlas.sites import format_neuron
from atlas.store.reader import Atlas
from queries.fits import Fit, fits_of_neurons
from queries.measured import EXPECTED
from queries.sqlfile import load_sql

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


def measured_fits(atlas: Atlas, layer: int, neuron: int, choice: FitChoice) -> list[Fit]:
    """The fits that `choice` allows and that measured the neuron, by family, site and position.

    Without a site in it those of the MLP; a coordinate of the residual stream must be asked for by its site.
    Raises UnknownNameError for a name that no fit has, QuestionError when nothing was measured.
    """
    fits = fits_of_neurons(atlas, choice)
    _, rows = atlas.query(load_sql("plot_fits"), {"layer": layer, "neuron": neuron})
    found = [fits[fit_id] for (fit_id,) in rows if fit_id in fits]
    if not found:
        which = ", ".join(value for _, value in choice.given()) or "any site of the MLP"
        raise QuestionError(
            f"no activations of {format_neuron(layer, neuron)} were measured for {which}",
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


def bumps_of_neuron(
    atlas: Atlas, fit_id: int, layer: int, neuron: int, tau: float | None, kind: str = GAUSSIAN
) -> tuple[list[float], list[Bump]]:
    """(bin edges, bumps of all concepts of the fit), best separated first: by AUC, or by held-out shares.

    There is one edge more than counts, in units of the activation. Raises QuestionError when the atlas has
    no histogram of this neuron, or it has the same activation on all examples.
    """
    parameters = {"fit_id": fit_id, "layer": layer, "neuron": neuron, "tau": tau}
    columns, rows = atlas.query(load_sql("plot_concepts"), parameters)
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    address = format_neuron(layer, neuron)
    if not found or any(row["counts"] is None for row in found):
        raise QuestionError(f"no histogram of {address} is stored", "Rebuild the atlas to draw it.")
    first, last = found[0]["first"], found[0]["last"]
    if not last > first:
        raise QuestionError(f"{address} is {first:g} on every example", "There is nothing to draw.")
    bins = len(found[0]["counts"])
    edges = [first + (last - first) * step / bins for step in range(bins + 1)]
    bumps = []
    for row in found:
        spans = {
            name: Span(*(row[prefix + column] for column in ("lower", "upper", "coverage", "leakage")))
            for name, prefix in ((GAUSSIAN, ""), (INTERVAL, "interval_"))
            if row[prefix + "lower"] is not None and row[prefix + "upper"] is not None
        }
        if INTERVAL in spans and row[EXPECTED[0]] is not None:
            spans[INTERVAL] = replace(spans[INTERVAL], expected=tuple(row[name] for name in EXPECTED))
        numbers = {name: row[name] for name in ("n", "mean", "std", "counts", "auc")}
        bumps.append(Bump(name=row["concept"], spans=spans, **numbers))
    return edges, sorted(bumps, key=lambda bump: (-bump.told_apart(kind), bump.name))


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
