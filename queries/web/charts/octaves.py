"""How often a neuron takes which values in running text: a bar for each halving of the largest, of either sign."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from queries.web.charts.scale import Scale, label

WIDTH, HEIGHT, LEFT, FOOT, TOP = 720, 150, 46, 30, 8
_EVERY = 3
"""Of bars, one with a label at its outer edge."""


@dataclass(frozen=True)
class Octave:
    """A bar, and what it says of itself; `below`: of values of 0 and below."""

    x: float
    y: float
    width: float
    height: float
    below: bool
    title: str


@dataclass(frozen=True)
class Octaves:
    """A chart of WIDTH x HEIGHT: values go from the lowest to the highest, heights are logarithms of counts."""

    bars: list[Octave]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    foot: int = FOOT
    top: int = TOP


def octaves(rows: Iterable[dict[str, Any]], said: Any) -> Octaves:
    """Rows of the histogram of `exemplars`: side, lower, upper and n, each side from the largest absolute value down;
    `said` writes a number."""
    above = [row for row in rows if row["side"] == "above 0"]
    below = [row for row in rows if row["side"] != "above 0"]
    ordered = [(row, True) for row in below] + [(row, False) for row in reversed(above)]
    total = sum(row["n"] for row, _ in ordered) or 1
    most = max((row["n"] for row, _ in ordered), default=0)
    x = Scale(0, len(ordered), LEFT, WIDTH - 6)
    y = Scale(0.0, math.log10(1 + max(most, 1)), HEIGHT - FOOT, TOP)
    bars, ticks = [], [(x(len(below)), "0")]
    for place, (row, negative) in enumerate(ordered):
        left, top = x(place), y(math.log10(1 + row["n"]))
        ends = (-row["upper"], -row["lower"]) if negative else (row["lower"], row["upper"])
        title = f"{said(ends[0])} to {said(ends[1])}: {row['n']:,} tokens ({100 * row['n'] / total:.2g} %)"
        width, height = round(x(place + 1) - left - 1, 2), round(y(0.0) - top, 2)
        bars.append(Octave(left, top, width, height, negative, title))
        outer = place if negative else place + 1
        if outer % _EVERY == 0 and abs(outer - len(below)) >= _EVERY:
            ticks.append((x(outer), label(ends[0] if negative else ends[1])))
    tens = [10**power for power in range(math.ceil(math.log10(1 + max(most, 1))) + 1)]
    counts = [(y(math.log10(1 + n)), f"{n:,}") for n in tens if n <= most]
    return Octaves(bars, ticks, counts)
