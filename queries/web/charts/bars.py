"""Bars beside names, from 0 to their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atlas.answers.cells import number, plain
from queries.web.charts.scale import Scale

WIDTH, NAMES, NUMBERS, ROW, TOP = 720, 210, 80, 20, 4


@dataclass(frozen=True)
class Bar:
    """One of them: `y` is the middle of its row."""

    name: str
    said: str
    x: float
    y: float
    width: float
    below: bool


@dataclass(frozen=True)
class Bars:
    """A chart of WIDTH x `height`; `left_out` are more than it shows. `zero`: where bars begin."""

    bars: list[Bar]
    zero: float
    left_out: int
    height: int
    width: int = WIDTH
    names: int = NAMES
    row: int = ROW


def bars_of(listed: Sequence[tuple[str, float]], of: int) -> Bars:
    """A bar for each (name, number), in their order; there are `of` of them."""
    numbers = [value for _, value in listed]
    x = Scale(min(0.0, *numbers), max(0.0, *numbers), NAMES, WIDTH - NUMBERS)
    zero = x(0.0)
    bars = [
        Bar(
            plain(name, 34),
            _said(value),
            min(zero, x(value)),
            TOP + ROW * (place + 0.5),
            round(abs(x(value) - zero), 2),
            value < 0,
        )
        for place, (name, value) in enumerate(listed)
    ]
    return Bars(bars, zero, of - len(listed), 2 * TOP + ROW * len(listed))


def _said(value: float) -> str:
    return (f"{value:,.0f}" if value == int(value) and abs(value) < 1e9 else number(value)).replace("-", "−")
