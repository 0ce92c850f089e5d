"""Cells of Markdown tables from tokens and sentences that nobody has looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from atlas.printable import shortened

LONGEST, LONGEST_TEXT = 24, 60
MOST = 8
NOTHING = "–"


def code(text: str, most: int = LONGEST, *, quote: bool = True) -> str:
    """As code, in double quotes unless it has some: spaces are seen, controls are escapes, nothing ends the cell."""
    inside = shortened(text, most, quote=quote).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in _runs(inside)), default=0))
    return f"{fence}{inside}{fence}"


def listed(tokens: Sequence[str], most: int = MOST) -> str:
    """Tokens in their order."""
    found = [code(token) for token in tokens[:most]]
    return " ".join([*found, *["…"] * (len(tokens) > most)]) or NOTHING


def counted(tokens: Iterable[str], most: int = MOST) -> str:
    """Tokens by how often they occur, with that number where it is above 1; equal ones in their order."""
    counts = Counter(tokens)
    order = sorted(counts, key=lambda token: -counts[token])
    found = [code(token) + (f" ×{counts[token]}" if counts[token] > 1 else "") for token in order[:most]]
    return " ".join([*found, *["…"] * (len(order) > most)]) or NOTHING


def number(value: float | None, places: int = 2) -> str:
    """A number, or that there is none."""
    return NOTHING if value is None else f"{value:.{places}f}"


def small(value: float) -> str:
    """A probability: two significant digits."""
    return f"{value:.2g}"


def _runs(text: str) -> list[str]:
    """Stretches of backticks."""
    return [run for run in "".join(one if one == "`" else " " for one in text).split()]
