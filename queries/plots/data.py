"""What the pictures show, as plain numbers: one neuron of one fit under every concept. No drawing here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from atlas.errors import QuestionError, UsageError
from atlas.fit_choice import FitChoice
from atlas.sites import format_neuron
from atlas.store.reader import Atlas
from queries.fits import Fit, fits_of_neurons
from queries.sqlfile import load_sql


@dataclass(frozen=True)
class Bump:
    """The activations of one neuron on one set of examples: fitted Gaussian and histogram.

    `counts` has one number per bin; bins are shared by all bumps of a neuron and a fit.
    """

    name: str
    n: int
    mean: float
    std: float
    counts: list[int]
    lower: float | None = None
    upper: float | None = None
    coverage: float | None = None
    leakage: float | None = None
    auc: float | None = None


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


def bumps_of_neuron(
    atlas: Atlas, fit_id: int, layer: int, neuron: int, tau: float | None
) -> tuple[list[float], list[Bump]]:
    """(bin edges, bumps of all concepts of the fit), best separated (by AUC) first.

    There is one edge more than counts, in units of the activation. Raises QuestionError when the atlas has
    no histogram of this neuron, or it has the same activation on all examples.
    """
    parameters = {"fit_id": fit_id, "layer": layer, "neuron": neuron, "tau": tau}
    _, rows = atlas.query(load_sql("plot_concepts"), parameters)
    address = format_neuron(layer, neuron)
    if not rows or any(row[9] is None for row in rows):
        raise QuestionError(f"no histogram of {address} is stored", "Rebuild the atlas to draw it.")
    first, last = rows[0][10:12]
    if not last > first:
        raise QuestionError(f"{address} is {first:g} on every example", "There is nothing to draw.")
    bins = len(rows[0][9])
    edges = [first + (last - first) * step / bins for step in range(bins + 1)]
    return edges, [
        Bump(name, n, mean, std, counts, lower, upper, coverage, leakage, auc)
        for name, n, mean, std, lower, upper, coverage, leakage, auc, counts, _, _ in rows
    ]


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
