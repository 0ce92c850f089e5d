"""What `evaluate` prints: rows as a table for people, or as JSON, JSON Lines or CSV with every digit."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

from atlas.printable import TEXT_WIDTH, json_text, shortened, width, without_formula
from builders.evaluation.bootstrap import Interval
from builders.evaluation.records import score_rows
from builders.evaluation.report import EvaluationReport
from builders.evaluation.sweep import Point

Row = dict[str, Any]


def evaluation_rows(report: EvaluationReport) -> list[Row]:
    """One row a score: spec, target, arm, metric, group, value with interval, drop with interval, n."""
    return [
        {"spec": evaluation.spec_hash, "target": evaluation.target, **row}
        for evaluation in report
        for row in score_rows(evaluation)
    ]


def frontier_rows(points: Sequence[Point]) -> list[Row]:
    """One row a point of a sweep, largest target drop first."""
    return [
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
    ]


def _bounds(name: str, found: Interval) -> Row:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _table(rows: Sequence[Row]) -> str:
    """Columns padded to their widest cell, numbers to the right."""
    names = list(rows[0])
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(width(line[column]) for line in cells) for column in range(len(names))]
    right = [all(not isinstance(row[name], str) for row in rows) for name in names]
    lines = [
        "  ".join(
            " " * (widest - width(cell)) + cell if flush else cell + " " * (widest - width(cell))
            for cell, widest, flush in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * widest for widest in widths), *lines[1:]]) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "*" if value else ""
    if isinstance(value, str) and value.startswith("sha256:"):
        return value[7:15]
    if isinstance(value, str):
        return shortened(value, TEXT_WIDTH)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(rows: Sequence[Row]) -> list[Row]:
    """The rows with null where JSON has no word."""
    return [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
        for row in rows
    ]


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _csv_safe(rows: Sequence[Row]) -> str:
    return _csv([{k: without_formula(v) if isinstance(v, str) else v for k, v in row.items()} for row in rows])


FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {
    "table": _table,
    "json": lambda rows: json_text(_plain(rows), indent=1) + "\n",
    "jsonl": lambda rows: "".join(json_text(row) + "\n" for row in _plain(rows)),
    "csv": _csv,
    "csv_safe": _csv_safe,
}
"""name -> text of rows (at least one) that all have the same columns."""
