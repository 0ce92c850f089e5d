"""A sweep: specs for every combination of rule, top, range and op, and the frontier of what they do.

This is the one file of the builders that uses `queries`: a sweep asks the very question that
`neuron-atlas spec` asks, many times (queries.specs.make_spec loads no model and writes nothing).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from atlas.errors import UsageError
from atlas.spec.document import InterventionSpec
from atlas.store.reader import Atlas
from builders.evaluation.arms import RANGE
from builders.evaluation.bootstrap import Interval
from builders.evaluation.config import SweepRequest
from builders.evaluation.report import COMPLEMENT, TARGET, EvaluationReport
from queries.specs.make_spec import make_spec

MAX_SPECS = 1000


def make_specs(atlas: Atlas, request: SweepRequest) -> list[InterventionSpec]:
    """One spec with ranges per combination. Raises as make_spec, and UsageError for more than MAX_SPECS."""
    ranges: list[tuple[str, float | None]] = []
    for bounds in request.bounds:
        ranges += [(bounds, tau) for tau in request.taus] if bounds == "gaussian" else [(bounds, None)]
    combinations = list(itertools.product(request.rules, request.tops, ranges, request.ops))
    if len(combinations) > MAX_SPECS:
        raise UsageError(f"the sweep has {len(combinations)} specs, at most {MAX_SPECS} are allowed")
    return [
        make_spec(
            atlas,
            concept=request.concept,
            rule=rule,
            top=top,
            bounds=bounds,
            tau=tau,
            op=op,
            use_range=True,
            fit=request.fit,
            **request.common,
        )
        for rule, top, (bounds, tau), op in combinations
    ]


@dataclass(frozen=True)
class Point:
    """One arm of one spec: how far a metric drops on the target class and on all others.

    `bounds` and `tau` say which range; both are None for whole neurons, `tau` also where bounds have none.
    `best`: no other point drops the target as much with less drop elsewhere (or more with as little).
    """

    rule: str
    top: int
    bounds: str | None
    tau: float | None
    op: str
    arm: str
    target: Interval
    complement: Interval
    best: bool = False


def frontier(report: EvaluationReport, metric: str = "accuracy") -> list[Point]:
    """All different points of a sweep, largest target drop first."""
    points: dict[tuple, Point] = {}
    for evaluation in report:
        source = evaluation.spec.source
        for arm in evaluation.arms():
            target, complement = (evaluation.score(arm, metric, group).drop for group in (TARGET, COMPLEMENT))
            bounds, tau = (source["bounds"], source.get("tau")) if arm == RANGE else (None, None)
            setting = (source["rule"], source["top"], bounds, tau, source["op"], arm)
            points.setdefault(setting, Point(*setting, target, complement))
    ordered = sorted(points.values(), key=lambda point: (-point.target.value, point.complement.value))
    return [_marked(point, ordered) for point in ordered]


def _marked(point: Point, points: Sequence[Point]) -> Point:
    def dominates(other: Point) -> bool:
        gain = other.target.value - point.target.value
        cost = other.complement.value - point.complement.value
        return gain >= 0 and cost <= 0 and (gain > 0 or cost < 0)

    return Point(**{**vars(point), "best": not any(map(dominates, points))})
