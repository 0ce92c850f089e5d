"""A number from layer to layer: its median as a line, in the band that most neurons are in; and shares as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from queries.web.charts.by_layer import WIDTH, ByLayer, Frame


@dataclass(frozen=True)
class Place:
    """A layer on the chart: `x` and `width` of its column, `y` of its median; `title` says its numbers."""

    layer: int
    x: float
    width: float
    y: float
    title: str


@dataclass(frozen=True, kw_only=True)
class Profile(ByLayer):
    """`line` and `band` are SVG paths."""

    places: list[Place]
    line: str
    band: str


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


@dataclass(frozen=True, kw_only=True)
class Columns(ByLayer):
    """A chart twice as wide."""

    parts: list[Part]


def profile(rows: Sequence[dict[str, Any]], layers: int, said: Any) -> Profile:
    """Rows with layer, low, median and high, in order; `said` writes a number."""
    frame = Frame(layers, min(row["low"] for row in rows), max(row["high"] for row in rows), 40)
    x, y = frame.x, frame.y
    middle = [x(row["layer"] + 0.5) for row in rows]
    places = [
        Place(
            row["layer"],
            *frame.column(row["layer"]),
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
    return Profile(places=places, line=line, band=band, x_ticks=frame.x_ticks, y_ticks=y.ticks(4), left=frame.left)


def columns(rows: Iterable[dict[str, Any]], names: Sequence[str], layers: int) -> Columns:
    """Rows with layer, io_class, neurons and share as columns of parts in the order of `names`; others are left out."""
    listed = [row for row in rows if row["io_class"] in names]
    tops: dict[int, float] = {}
    for row in listed:
        tops[row["layer"]] = tops.get(row["layer"], 0.0) + row["share"]
    frame = Frame(layers, 0.0, max(tops.values(), default=1.0), 30, 2 * WIDTH)
    y = frame.y
    tops, parts = {}, []
    for row in sorted(listed, key=lambda row: (row["layer"], names.index(row["io_class"]))):
        layer, start, kind = row["layer"], tops.get(row["layer"], 0.0), names.index(row["io_class"])
        tops[layer] = start + row["share"]
        title = f"layer {layer}: {row['neurons']:,} {row['io_class']} ({100 * row['share']:.1f} %)"
        left, width = frame.column(layer)
        height = round(y(start) - y(tops[layer]), 2)
        parts.append(Part(left, y(tops[layer]), round(width - 1, 2), height, kind, title, layer))
    ticks = frame.share_ticks(3)
    return Columns(parts=parts, x_ticks=frame.x_ticks, y_ticks=ticks, left=frame.left, width=frame.width)
