"""The numbers that a spec takes from an atlas: which fit they come from, and what it says of each neuron."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from atlas.errors import QuestionError, UsageError
from atlas.fit_choice import FitChoice
from atlas.sites import format_neuron
from atlas.sites import site as site_of
from atlas.spec.float32 import FLOAT32_MAX
from atlas.store.reader import Atlas
from queries.experts import expert_of
from queries.fits import PAPER_TAU, Fit, all_fits, choose_fit, choose_tau
from queries.measured import EXPECTED
from queries.specs.bounds import HOW_TO_ADD, choose_bounds, looks_at_ranges
from queries.specs.request import CONTRAST, GAUSSIAN, INTERVAL, SpecRequest
from queries.specs.text import OpRequest
from queries.sqlfile import load_sql


@dataclass(frozen=True)
class NumberSource:
    """One fit, and a concept in it; `concept_id` and `tau` are None where only the background is wanted."""

    fit: Fit
    concept_id: int | None = None
    tau: float | None = None
    bounds: str = GAUSSIAN
    note: str = ""
    """Why it is not the range that it would usually be."""


@dataclass(frozen=True)
class Numbers:
    """What a fit says of one neuron, in units of the activation. None: not of a concept, or not measured."""

    lower: float | None
    upper: float | None
    concept_mean: float | None
    background_mean: float
    rest_mean: float | None
    auc: float | None
    leakage: float | None
    coverage: float | None
    expected_coverage: float | None = None
    expected_leakage: float | None = None
    """Of intervals, on new texts; None where an older atlas does not know."""


def concept_source(atlas: Atlas, request: SpecRequest, op: OpRequest, choice: FitChoice) -> NumberSource:
    """The fit of the concept that `request` names. `choice` without a site: whatever site it was fitted at.

    Any tau that is given will do for a range, which needs no counting; only a rule or a share that looks at the
    measured range needs one that was measured. Raises as choose_fit, choose_bounds and choose_tau.
    """
    concept = request.concept or ""
    fit = choose_fit(atlas, concept, choice)
    bounds, note = choose_bounds(atlas, request, op, fit)
    tau, filtered = request.tau, request.max_leakage is not None or request.min_coverage is not None
    if looks_at_ranges(request.rule) or (filtered and bounds == GAUSSIAN):
        tau = choose_tau(fit, tau)
    elif bounds != GAUSSIAN:
        tau = None
    elif tau is None:
        tau = choose_tau(fit, None) if fit.taus else PAPER_TAU
    return NumberSource(fit, fit.concept_id(concept), tau, bounds, note)


def background_source(atlas: Atlas, choice: FitChoice) -> NumberSource:
    """The one fit whose background means are to be used. QuestionError or UsageError if not one."""
    fits = [fit for fit in all_fits(atlas).values() if choice.fits(fit)]
    if not fits:
        raise QuestionError(
            f"no statistics of {choice.site} agree with these options", "`neuron-atlas info` lists them."
        )
    if len(fits) > 1:
        found = "; ".join(f"{fit.family} at {fit.position} with {fit.template!r}" for fit in fits[:6])
        raise UsageError(
            f"there are {len(fits)} backgrounds of {choice.site}",
            f"Choose by --family, --position or --template: {found}.",
        )
    return NumberSource(fits[0])


def numbers_of(
    atlas: Atlas, source: NumberSource, neurons: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], Numbers]:
    """(layer, neuron) -> Numbers for each of `neurons`, from one fit, with the bounds of the source."""
    addresses = list(neurons)
    asked = {
        "fit_id": source.fit.fit_id,
        "concept_id": source.concept_id,
        "layers": [layer for layer, _ in addresses],
        "neurons": [neuron for _, neuron in addresses],
    }
    _, rows = atlas.query(load_sql("spec_numbers"), {**asked, "tau": source.tau})
    numbers = {(layer, neuron): Numbers(*numbers) for layer, neuron, *numbers in rows}
    for address in addresses:
        known = numbers.get(address)
        if known is None or (source.concept_id is not None and known.concept_mean is None):
            raise _unknown(atlas, source, address)
    if source.bounds == INTERVAL:
        return _with_intervals(atlas, asked, numbers)
    return _with_contrast_bounds(atlas, asked, numbers) if source.bounds == CONTRAST else numbers


def _unknown(atlas: Atlas, source: NumberSource, address: tuple[int, int]) -> QuestionError:
    """The error for a neuron that a fit, or its concept, has no statistics of."""
    name, fit = format_neuron(*address), source.fit
    of = "" if source.concept_id is None else f" of {fit.concepts[source.concept_id][0]}"
    if site_of(fit.site).width == "d_mlp" and (expert := expert_of(atlas, *address)) is not None:
        if expert.kind == "routed":
            return QuestionError(
                f"{name} has no statistics{of}: too few texts reach its expert, {expert.expert} of layer {address[0]}",
                "Choose a neuron of another expert, or build with more texts.",
            )
    return QuestionError(f"{name} has no statistics{of}: {fit.family} was not measured there", "Build that layer.")


def _with_intervals(
    atlas: Atlas, asked: dict[str, Any], numbers: dict[tuple[int, int], Numbers]
) -> dict[tuple[int, int], Numbers]:
    """`numbers` with the stored intervals, and what intervals that were found without them hold of left-out texts.

    An open side is the largest float32: no finite value is beyond it. Raises QuestionError where one is absent.
    """
    _, rows = atlas.query(load_sql("spec_intervals"), asked)
    if len(rows) < len(numbers):
        raise QuestionError("some of these neurons have no interval", f"Use --bounds gaussian; {HOW_TO_ADD}.")
    for layer, neuron, lower, upper, *shares in rows:
        numbers[layer, neuron] = replace(
            numbers[layer, neuron],
            lower=-FLOAT32_MAX if lower == -math.inf else lower,
            upper=FLOAT32_MAX if upper == math.inf else upper,
            **dict(zip(("coverage", "leakage", *EXPECTED), shares, strict=True)),
        )
    return numbers


def _with_contrast_bounds(
    atlas: Atlas, asked: dict[str, Any], numbers: dict[tuple[int, int], Numbers]
) -> dict[tuple[int, int], Numbers]:
    """`numbers` with the one-sided bounds that best tell the concept from the rest, and what these hold.

    The cut is the histogram edge with the largest coverage - leakage (Youden 1950); the other side is open,
    because what is further out is even more of the concept's. Raises QuestionError without histograms or
    without other concepts.
    """
    _, rows = atlas.query(load_sql("spec_contrast_bounds"), {**asked, "limit": FLOAT32_MAX})
    found = {(layer, neuron): bounds for layer, neuron, *bounds in rows if None not in bounds}
    if len(found) < len(numbers):
        raise QuestionError(
            "contrast bounds need histograms of the concept and of others in its family",
            "Use --bounds gaussian, or build with --bins 20 and more than one concept.",
        )
    return {
        address: replace(number, **dict(zip(("lower", "upper", "coverage", "leakage"), found[address], strict=True)))
        for address, number in numbers.items()
    }
