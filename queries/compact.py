"""Columns of an answer put together for a table, which has no room for all of them. Other formats keep them apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from atlas.answers.cells import number
from atlas.answers.result import Result
from queries.expected import percent
from queries.measured import EXPECTED
from queries.ranges import GAUSSIAN, INTERVAL, Range

_DIGITS = 3
"""Of the numbers in a cell of several."""
Row = Mapping[str, Any]


def compact_neurons(result: Result) -> Result:
    """An answer of `neurons_for_concept` that shows intervals: a column each for the interval, the held-out shares,
    those to expect, and the average precision.

    An answer that shows Gaussian ranges stays as it is.
    """
    if INTERVAL.lower not in (result.shown or ()):
        return result
    made: dict[str, Callable[[Row], Any]] = {
        "interval": lambda row: bounds(row, INTERVAL),
        "held_out": _held_out,
        "expected": _expected,
        "ap": _average_precision,
    }
    parts = {
        INTERVAL.lower: "interval",
        INTERVAL.upper: None,
        INTERVAL.coverage: "held_out",
        INTERVAL.leakage: None,
        INTERVAL.worst: None,
        EXPECTED[0]: "expected",
        EXPECTED[1]: None,
        "ap_low": None,
    }
    return _table(result, made, [parts.get(name, name) for name in result.shown or ()])


def compact_concepts(result: Result) -> Result:
    """The concepts of a neuron: a column for the bounds of each kind of range, one for the held-out shares.

    As they are where no row has an interval.
    """
    if not any(row[INTERVAL.lower] is not None for row in result):
        return result
    made: dict[str, Callable[[Row], Any]] = {
        "range": lambda row: bounds(row, GAUSSIAN),
        "interval": lambda row: bounds(row, INTERVAL),
        "held_out": _held_out,
    }
    places = [name for name in ("site", "position") if len(set(result.column(name))) > 1]
    names = "range coverage leakage interval held_out auc q".split()
    return _table(result, made, ["family", "concept", *places, *names])


def bounds(row: Row, kind: Range) -> str | None:
    """A range in words: "0.123 to 2.34", or "≥ 0.123" where it is open above."""
    lower, upper = row[kind.lower], row[kind.upper]
    if lower is None or upper is None:
        return None
    if math.isinf(lower) and math.isinf(upper):
        return "any"
    low, high = number(lower, _DIGITS), number(upper, _DIGITS)
    if math.isinf(upper):
        return f"≥ {low}"
    return f"≤ {high}" if math.isinf(lower) else f"{low} to {high}"


def _average_precision(row: Row) -> str | None:
    """The larger one of the two, and the side that speaks for the concept."""
    sides = {side: row[name] for side, name in (("high", "ap"), ("low", "ap_low")) if row[name] is not None}
    best = max(sides, key=lambda side: sides[side], default=None)
    return None if best is None else f"{number(sides[best], _DIGITS)} {best}"


def _held_out(row: Row) -> str | None:
    """Coverage and leakage in one cell."""
    return _shares(row[INTERVAL.coverage], row[INTERVAL.leakage])


def _expected(row: Row) -> str | None:
    """The same of new texts."""
    return _shares(*(row[name] for name in EXPECTED))


def _shares(coverage: float | None, leakage: float | None) -> str | None:
    if coverage is None:
        return None
    return percent(coverage) if leakage is None else f"{percent(coverage)} / {percent(leakage)}"


def _table(result: Result, made: Mapping[str, Callable[[Row], Any]], names: list[str | None]) -> Result:
    columns = [name for name in names if name is not None]
    rows = [tuple(made[name](row) if name in made else row[name] for name in columns) for row in result]
    return Result(columns, rows, result.notes, result.truncated_by)
