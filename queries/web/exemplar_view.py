"""Exemplars as a reader sees them: each token shaded by its activation, what came long before folded away."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup

from atlas.answers.cells import number
from atlas.answers.result import Result
from atlas.schema.exemplar_tables import QUADRANTS

SHADES = 8
STOPS = ALL, PEAK = "all", "peak"
"""Which tokens the tab key stops at; from one the arrow keys go on to its neighbours (static/explorer.js)."""
_SHADED = {0: ""} | {n: f" up{n}" if n > 0 else f" down{-n}" for n in range(-SHADES, SHADES + 1) if n}
_PARTS = {"top": "Largest", "bottom": "Smallest", "band": "Quarter {part} of its texts, from the lowest"}


class Piece(NamedTuple):
    """A token; `shade` from -SHADES (lowest) to SHADES, 0 for none; `value` is None where no activation counts."""

    token: str
    value: float | None
    shade: int
    peak: bool


@dataclass(frozen=True)
class Shown:
    """One exemplar."""

    row: dict[str, Any]
    pieces: list[Piece]

    @property
    def text(self) -> str:
        """The words, to be copied."""
        return "".join(piece.token for piece in self.pieces).strip(" ")


def shown_exemplars(found: Result) -> list[tuple[str, str, list[Shown]]]:
    """(kind, title, exemplars) of every kind and part, in their order."""
    rows = found.dicts()
    largest = max((abs(value) for row in rows for value in row["activations"] or () if value is not None), default=0)
    parts: dict[tuple[str, int | None], list[Shown]] = {}
    for row in rows:
        parts.setdefault((row["kind"], row["part"]), []).append(Shown(row, _pieces(row, largest)))
    return [(kind, _title(kind, part), listed) for (kind, part), listed in parts.items()]


def shaded(tokens: Sequence[str], values: Sequence[float | None]) -> list[Piece]:
    """The tokens of a text, shaded by their values; the largest, of either sign, is the peak."""
    sizes = [-1.0 if value is None else abs(value) for value in values]
    largest = max(sizes, default=0.0)
    peak = sizes.index(largest) if largest > 0 else None
    return [
        Piece(token, value, _shade(value, max(largest, 0.0)), index == peak)
        for index, (token, value) in enumerate(zip(tokens, values, strict=True))
    ]


def marked_up(pieces: Sequence[Piece], stops: str = PEAK) -> Markup:
    """The tokens as HTML: shaded, each with its value to be seen at the pointer and on focus.

    Written here and not in a template: a page has a thousand of them.
    """
    written = []
    for token, value, shade, peak in pieces:
        stop = ' tabindex="0"' if peak or stops == ALL else ""
        names = f"t peak{_SHADED[shade]}" if peak else f"t{_SHADED[shade]}"
        written.append(f'<span class="{names}"{stop} data-value="{_said(value)}">{html.escape(token)}</span>')
    return Markup("".join(written))


@functools.lru_cache(4096)  # they are stored in 253 steps, and most are near 0
def _said(value: float | None) -> str:
    return "not counted" if value is None else number(value, 3).replace("-", "−")


def _title(kind: str, part: int | None) -> str:
    if kind == "quadrant" and part is not None:
        return QUADRANTS[part - 1]
    return _PARTS.get(kind, kind).format(part=part)


def _pieces(row: dict[str, Any], largest: float) -> list[Piece]:
    tokens, values = row["tokens"] or [], row["activations"] or []
    peak = row["position"] - (row["window_start"] or 0)
    return [
        Piece(token, value, round(SHADES * value / largest) if value and largest else 0, index == peak)
        for index, (token, value) in enumerate(zip(tokens, values, strict=False))
    ]


def _shade(value: float | None, largest: float) -> int:
    if value is None or not largest:
        return 0
    return round(SHADES * value / largest)
