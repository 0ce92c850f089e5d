"""How many neurons of each layer have the same top token in two atlases, beside how many would by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from queries.web.charts.profile import layer_ticks
from queries.web.charts.scale import Scale

WIDTH, HEIGHT, LEFT, FOOT, TOP = 360, 130, 34, 18, 8


@dataclass(frozen=True)
class Column:
    """A layer: its place, the tops of what agrees, of what would by chance, and of the cosine of the vectors."""

    layer: int
    x: float
    width: float
    same: float
    shuffled: float
    cosine: float | None
    title: str


@dataclass(frozen=True)
class Agreement:
    """A chart of WIDTH x HEIGHT, its foot at 0 and its top at 100 %."""

    columns: list[Column]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    foot: int = FOOT
    top: int = TOP


def agreement(rows: Sequence[dict[str, Any]]) -> Agreement:
    """Rows of `compare(by="layer")` of one weight."""
    layers = 1 + max(row["layer"] for row in rows)
    x, y = Scale(0, layers, LEFT, WIDTH - 4), Scale(0.0, 1.0, HEIGHT - FOOT, TOP)
    columns = []
    for row in rows:
        cosine = row["mean_cosine"]
        title = (
            f"layer {row['layer']}: {100 * row['same_token']:.1f} % of {row['neurons']:,} neurons have the same top "
            f"token, {100 * row['shuffled']:.1f} % would by chance"
        )
        title += "" if cosine is None else f"; mean cosine of the vectors {cosine:.4f}"
        left, right = x(row["layer"]), x(row["layer"] + 1)
        places = y(row["same_token"]), y(row["shuffled"]), None if cosine is None else y(cosine)
        columns.append(Column(row["layer"], left, round(right - left - 1, 2), *places, title))
    return Agreement(columns, layer_ticks(x, layers), [(y(share), f"{100 * share:.0f} %") for share in (0, 0.5, 1)])
