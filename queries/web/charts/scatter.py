"""Two numbers of each neuron against each other: a point a neuron that leads to it, or cells shaded by how many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from queries.web.charts.scale import Scale, label

WIDTH, HEIGHT, LEFT, FOOT, TOP = 720, 430, 58, 40, 10
MOST_LINKED = 2000
"""Points that lead somewhere, each some hundred bytes of the page. Where there are more, these are the outermost, which
one can point at; the others lie on each other, and are drawn as one path."""
SHADES = 8


class Point(NamedTuple):
    """One neuron, at (x, y) pixels."""

    x: float
    y: float
    title: str
    to: str | None


@dataclass(frozen=True)
class Square:
    """Some neurons; `shade` is from 1 to SHADES by the logarithm of how many."""

    x: float
    y: float
    width: float
    height: float
    shade: int
    title: str
    to: str | None


@dataclass(frozen=True)
class Scatter:
    """A chart of WIDTH x HEIGHT: points over a crowd of them (an SVG path), or squares; (pixel, label) of the ticks."""

    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    points: Sequence[Point] = ()
    crowd: str = ""
    squares: Sequence[Square] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    foot: int = FOOT
    top: int = TOP

    @cached_property
    def dots(self) -> Markup:
        """The points as SVG: written here and not in a template, because there are up to MOST_LINKED."""
        drawn = []
        for x, y, said, to in self.points:
            title = f"<title>{escape(said)}</title>"
            dot = f'<circle cx="{x:g}" cy="{y:g}" r="3"'
            drawn.append(
                f"{dot}>{title}</circle>" if to is None else f'<a href="{escape(to)}" tabindex="-1">{title}{dot}/></a>'
            )
        return Markup("".join(drawn))

    @cached_property
    def cells(self) -> Markup:
        """The squares as SVG, for the same reason."""
        drawn = []
        for each in self.squares:
            title = f"<title>{escape(each.title)}</title>"
            at = f'x="{each.x}" y="{each.y}" width="{each.width}" height="{each.height}"'
            square = f'<rect class="heat{each.shade}" {at}'
            drawn.append(
                f'<a href="{escape(each.to)}#scatter" tabindex="-1">{title}{square}/></a>'
                if each.to
                else f"{square}>{title}</rect>"
            )
        return Markup("".join(drawn))


class Axis:
    """Values -> pixels, by logarithms where `log`, with a margin around them."""

    def __init__(self, ends: tuple[float, float], log: bool, start: float, end: float) -> None:
        self.log = log
        low, high = (math.log10(value) if log else value for value in ends)
        margin = 0.03 * (high - low) or max(abs(low), 1.0) * 0.05
        self.scale = Scale(low - margin, high + margin, start, end)

    def __call__(self, value: float) -> float:
        """The pixel of a value, to a tenth."""
        return round(self.scale(math.log10(value) if self.log else value), 1)

    def places(self, values: Sequence[float]) -> list[float]:
        """The pixels of many values, as of each alone."""
        import numpy as np

        scale = self.scale
        if not scale.high > scale.low:
            return [self(value) for value in values]
        value_N = np.array([math.log10(value) for value in values] if self.log else values, np.float64)
        share_N = np.clip((value_N - scale.low) / (scale.high - scale.low), 0.0, 1.0)
        place_N = scale.start + share_N * (scale.end - scale.start)
        found: list[float] = (np.rint(10 * place_N) / 10).tolist()
        # Scale rounds to a hundredth first, which tells near the middle between two tenths.
        for index in np.flatnonzero(np.abs(10 * place_N % 1 - 0.5) < 0.06).tolist():
            found[index] = round(round(float(place_N[index]), 2), 1)
        return found

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Round values; of logarithms 1, 2 and 5 times powers of ten, or the powers alone where they are many."""
        if not self.log:
            return self.scale.ticks(most)
        low, high = self.scale.low, self.scale.high
        for times in ((1, 2, 5), (1, 3), (1,)):
            found = [
                (math.log10(each) + power, each * 10.0**power)
                for power in range(math.floor(low), math.ceil(high) + 1)
                for each in times
                if low <= math.log10(each) + power <= high
            ]
            if len(found) <= most + 1:
                break
        every = -(-len(found) // (most + 1)) or 1
        return [(self.scale(place), label(value)) for place, value in found[::every]]


def points_of(
    places: Sequence[tuple[float, float]],
    told: Callable[[int], tuple[str, str | None]],
    x_ends: tuple[float, float],
    y_ends: tuple[float, float],
    log: tuple[bool, bool] = (False, False),
) -> Scatter:
    """Values (x, y) as points; `x_ends`, `y_ends` are the smallest and largest of them. `told`: title and address of
    the point with that index, asked for those that are linked."""
    across, up = _axes(x_ends, y_ends, log)
    xs, ys = across.places([x for x, _ in places]), up.places([y for _, y in places])
    order: Iterable[int] = range(len(places)) if len(places) <= MOST_LINKED else _inner_first(xs, ys)
    placed = [(xs[index], ys[index], index) for index in order]
    crowd = "".join(["M%g %gh0" % (x, y) for x, y, _ in placed[: max(len(placed) - MOST_LINKED, 0)]])  # noqa: UP031
    points = [Point(x, y, *told(index)) for x, y, index in placed[-MOST_LINKED:]]
    return Scatter(across.ticks(8), up.ticks(6), points, crowd)


def squares(
    cells: Iterable[dict[str, Any]],
    x_ends: tuple[float, float],
    y_ends: tuple[float, float],
    log: tuple[bool, bool] = (False, False),
    to: Callable[[dict[str, Any]], str | None] = lambda cell: None,
) -> Scatter:
    """Cells with x_from, x_to, y_from, y_to and neurons as squares; `to` says where one leads."""
    across, up = _axes(x_ends, y_ends, log)
    listed = list(cells)
    most = math.log1p(max((cell["neurons"] for cell in listed), default=1))
    drawn = []
    for cell in listed:
        left, right = across(cell["x_from"]), across(cell["x_to"])
        below, above = up(cell["y_from"]), up(cell["y_to"])
        shade = max(1, math.ceil(SHADES * math.log1p(cell["neurons"]) / most))
        n = cell["neurons"]
        title = f"{n:,} neuron{'s' if n != 1 else ''}: {_from_to(cell, 'x')}; {_from_to(cell, 'y')}"
        drawn.append(Square(left, above, round(right - left, 1), round(below - above, 1), shade, title, to(cell)))
    return Scatter(across.ticks(8), up.ticks(6), squares=drawn)


def _axes(x_ends: tuple[float, float], y_ends: tuple[float, float], log: tuple[bool, bool]) -> tuple[Axis, Axis]:
    return Axis(x_ends, log[0], LEFT, WIDTH - 8), Axis(y_ends, log[1], HEIGHT - FOOT, TOP)


def _inner_first(xs: Sequence[float], ys: Sequence[float]) -> list[int]:
    """Indices by how far a point is from the middle of all, in spreads of each direction."""
    import numpy as np

    far_N = np.zeros(len(xs))
    for values in (xs, ys):
        value_N = np.array(values)
        square_N = (value_N - sum(values) / len(values)) ** 2
        far_N += square_N / (sum(square_N.tolist()) or 1.0)
    found: list[int] = np.argsort(far_N, kind="stable").tolist()
    return found


def _from_to(cell: dict[str, Any], name: str) -> str:
    return f"{name} {label(cell[f'{name}_from'])} to {label(cell[f'{name}_to'])}"
