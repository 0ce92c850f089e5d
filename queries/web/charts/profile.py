"""A number from layer to layer: its median as a line, in the band that most neurons are in; and shares as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from queries.web.charts.scale import Scale

WIDTH, HEIGHT, LEFT, FOOT, TOP = 360, 130, 40, 18, 8


@dataclass(frozen=True)
class Place:
    """A layer on the chart: `x` and `width` of its column, `y` of its median; `title` says its numbers."""

    layer: int
    x: float
    width: float
    y: float
    title: str


@dataclass(frozen=True)
class Profile:
    """A chart of WIDTH x HEIGHT; `line` and `band` are SVG paths."""

    places: list[Place]
    line: str
    band: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    foot: int = FOOT
    top: int = TOP


@dataclass(frozen=True)
class Part:
    """A piece of a layer's column: `kind` is the place of its name in the list of them."""

    x: float
    y: float
    width: float
    height: float
    kind: int
    title: str
    layer: int


@dataclass(frozen=True)
class Columns:
    """A chart twice as wide."""

    parts: list[Part]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = 2 * WIDTH
    height: int = HEIGHT
    left: int = 30
    foot: int = FOOT
    top: int = TOP


def profile(rows: Sequence[dict[str, Any]], layers: int, said: Any) -> Profile:
    """Rows with layer, low, median and high, in order; `said` writes a number."""
    x = Scale(0, layers, LEFT, WIDTH - 4)
    low, high = min(row["low"] for row in rows), max(row["high"] for row in rows)
    y = Scale(low, high, HEIGHT - FOOT, TOP)
    middle = [x(row["layer"] + 0.5) for row in rows]
    places = [
        Place(
            row["layer"],
            x(row["layer"]),
            round(x(row["layer"] + 1) - x(row["layer"]), 2),
            y(row["median"]),
            f"layer {row['layer']}: median {said(row['median'])}, 80 % of its neurons from {said(row['low'])} "
            f"to {said(row['high'])}",
        )
        for row in rows
    ]
    line = "M" + "L".join(f"{at} {place.y}" for at, place in zip(middle, places, strict=True))
    above = [f"{at} {y(row['high'])}" for at, row in zip(middle, rows, strict=True)]
    below = [f"{at} {y(row['low'])}" for at, row in zip(middle, rows, strict=True)]
    band = "M" + "L".join([*above, *reversed(below)]) + "Z"
    return Profile(places, line, band, layer_ticks(x, layers), y.ticks(4))


def columns(rows: Iterable[dict[str, Any]], names: Sequence[str], layers: int) -> Columns:
    """Rows with layer, io_class, neurons and share as columns of parts in the order of `names`; others are left out."""
    listed = [row for row in rows if row["io_class"] in names]
    tops: dict[int, float] = {}
    for row in listed:
        tops[row["layer"]] = tops.get(row["layer"], 0.0) + row["share"]
    x, y = Scale(0, layers, 30, 2 * WIDTH), Scale(0, max(tops.values(), default=1.0), HEIGHT - FOOT, TOP)
    tops, parts = {}, []
    for row in sorted(listed, key=lambda row: (row["layer"], names.index(row["io_class"]))):
        layer, start, kind = row["layer"], tops.get(row["layer"], 0.0), names.index(row["io_class"])
        tops[layer] = start + row["share"]
        title = f"layer {layer}: {row['neurons']:,} {row['io_class']} ({100 * row['share']:.1f} %)"
        width, height = x(layer + 1) - x(layer) - 1, y(start) - y(tops[layer])
        parts.append(Part(x(layer), y(tops[layer]), round(width, 2), round(height, 2), kind, title, layer))
    shares = Scale(0, 100 * y.high, HEIGHT - FOOT, TOP).ticks(3)
    return Columns(parts, layer_ticks(x, layers), [(at, f"{text} %") for at, text in shares])


def layer_ticks(x: Scale, layers: int) -> list[tuple[float, str]]:
    """Some layers, each below the middle of its column."""
    every = next(step for step in (1, 2, 5, 10, 20, 50, 10**6) if layers <= 8 * step)
    return [(x(layer + 0.5), str(layer)) for layer in range(0, layers, every)]
