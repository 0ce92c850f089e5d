"""The answer of `fires` for a table: where a value lies in words that fit into one cell."""

from __future__ import annotations

import math
from typing import Any

from atlas.answers.cells import number
from atlas.answers.result import Result


def compact(result: Result) -> Result:
    """The columns that a table shows, with percentile and beyond in one."""
    narrow = result.narrow()
    rows = [tuple(in_words(row) if name == "percentile" else row[name] for name in narrow.columns) for row in result]
    return Result(narrow.columns, rows, result.notes, result.truncated_by)


def in_words(row: dict[str, Any]) -> str:
    """'99.9987 %', with two digits of what is left to the nearer end, or 'max + 0.42 std' beyond it."""
    percentile, beyond = row["percentile"], row["beyond"]
    if beyond is not None:
        return f"max + {number(beyond, 2)} std" if beyond > 0 else f"min − {number(-beyond, 2)} std"
    tail = min(percentile, 100 - percentile)
    if tail == 0:
        return "max" if percentile else "min"
    return f"{percentile:.{max(0, 1 - math.floor(math.log10(tail)))}f} %"
