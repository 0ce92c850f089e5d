"""How one value reads in a table: sensible digits, tokens in quotes, nothing that moves the cursor."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from atlas.answers.kinds import Digest, Prose
from atlas.printable import printable

# Columns whose text is tokens: always quoted, because a leading space is part of a token.
TOKEN_COLUMNS = frozenset({"token", "tokens", "reads", "writes"})


def cell(column: str, value: Any) -> str:
    """The text of one cell: floats in four digits, lists joined, unsafe text quoted."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return number(value)
        case dt.datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case list() | tuple():
            return " ".join(cell(column, inner) for inner in value)
        case Prose():
            return printable(value.strip("\n"), keep="\n")
        case Digest():
            return printable(value.short)
        case str():
            return quoted(value) if column in TOKEN_COLUMNS or not _safe(value) else value
        case _:
            return quoted(str(value)) if not _safe(str(value)) else str(value)


def number(value: float) -> str:
    """Four significant digits, without an exponent between 0.0001 and a million: 0.9412, 12.31, 1.2e-07."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        digits = max(0, 3 - math.floor(math.log10(abs(value))))
        return f"{value:.{min(digits, 4)}f}"
    return f"{value:.1e}"


def quoted(text: str) -> str:
    """`text` in double quotes with control characters escaped: ' dog' -> '" dog"'."""
    body = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(body)}"'


def heading(name: str) -> str:
    """The name of a column, which SQL may choose freely: in quotes where it is unsafe, as a cell."""
    return name if _safe(name) else quoted(name)


def is_number(value: Any) -> bool:
    """Whether a cell is set right-aligned (an empty cell takes the side of its column)."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _safe(text: str) -> bool:
    return text.isprintable() and text == text.strip()
