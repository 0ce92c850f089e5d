"""How many neurons of each layer have the same top token in two atlases, beside how many would by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from queries.web.charts.by_layer import ByLayer, Frame


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


@dataclass(frozen=True, kw_only=True)
class Agreement(ByLayer):
    """Its foot is at 0 and its top at 100 %."""

    columns: list[Column]


def agreement(rows: Sequence[dict[str, Any]]) -> Agreement:
    """Rows of `compare(by="layer")` of one weight."""
    frame = Frame(1 + max(row["layer"] for row in rows), 0.0, 1.0, 34)
    y = frame.y
    columns = []
    for row in rows:
        cosine = row["mean_cosine"]
        title = (
            f"layer {row['layer']}: {100 * row['same_token']:.1f} % of {row['neurons']:,} neurons have the same top "
            f"token, {100 * row['shuffled']:.1f} % would by chance"
        )
        title += "" if cosine is None else f"; mean cosine of the vectors {cosine:.4f}"
        left, width = frame.column(row["layer"])
        places = y(row["same_token"]), y(row["shuffled"]), None if cosine is None else y(cosine)
        columns.append(Column(row["layer"], left, round(width - 1, 2), *places, title))
    return Agreement(columns=columns, x_ticks=frame.x_ticks, y_ticks=frame.share_ticks(2), left=frame.left)
