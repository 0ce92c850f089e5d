"""A grid of numbers in shades: concepts down, layers across."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SHADES = 9


@dataclass(frozen=True)
class Cell:
    """One number. `shade` is from 0 to SHADES - 1; `row` is what it was made of."""

    value: float
    shade: int
    row: dict[str, Any]


@dataclass(frozen=True)
class Heat:
    """`cells[down][across]`, None where there is nothing."""

    down: list[Any]
    across: list[Any]
    cells: list[list[Cell | None]]


def heat(rows: Iterable[dict[str, Any]], down: str, across: str, value: str, top: float = 1.0) -> Heat:
    """The rows as a grid: columns `down` and `across` say where, `value` is shaded from 0 to `top`."""
    listed = list(rows)
    names = list(dict.fromkeys(row[down] for row in listed))
    places = sorted({row[across] for row in listed})
    found = {(row[down], row[across]): row for row in listed}

    def cell(name: Any, place: Any) -> Cell | None:
        row = found.get((name, place))
        if row is None or row[value] is None:
            return None
        share = min(max(row[value] / top, 0.0), 1.0)
        return Cell(row[value], min(int(share * SHADES), SHADES - 1), row)

    return Heat(names, places, [[cell(name, place) for place in places] for name in names])
