"""What `evaluate` answers: scores or the frontier of a sweep, as Results that are rendered as those of questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from atlas.answers.kinds import Digest
from atlas.answers.result import Result
from builders.evaluation.bootstrap import Interval
from builders.evaluation.records import score_rows
from builders.evaluation.report import EvaluationReport
from builders.evaluation.sweep import Point

Row = dict[str, Any]


def score_table(reports: Iterable[EvaluationReport], notes: list[str]) -> Result:
    """One row a score: spec (its hash), target, arm, metric, group, value with interval, drop with interval, n."""
    return _table(
        [
            {"spec": Digest(evaluation.spec_hash), "target": evaluation.target, **row}
            for report in reports
            for evaluation in report
            for row in score_rows(evaluation)
        ],
        notes,
    )


def frontier_table(points: Sequence[Point], notes: list[str]) -> Result:
    """One row a point of a sweep, largest target drop first."""
    return _table(
        [
            {
                "best": point.best,
                "rule": point.rule,
                "top": point.top,
                "bounds": point.bounds,
                "tau": point.tau,
                "op": point.op,
                "arm": point.arm,
                **_bounds("target_drop", point.target),
                **_bounds("complement_drop", point.complement),
            }
            for point in points
        ],
        notes,
    )


def _table(rows: Sequence[Row], notes: list[str]) -> Result:
    """Of at least one row: every spec has a baseline."""
    return Result(list(rows[0]), [tuple(row.values()) for row in rows], notes)


def _bounds(name: str, found: Interval) -> Row:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
