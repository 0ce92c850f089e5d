"""How one value reads in a table: sensible digits, tokens in quotes, nothing that moves the cursor or runs away."""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import math
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

from atlas.answers.kinds import Digest, Prose
from atlas.printable import ELLIPSIS, TEXT_WIDTH, printable, shortened, width

# Columns whose text is tokens: always quoted, because a leading space is part of a token.
TOKEN_COLUMNS = frozenset({"token", "tokens", "reads", "writes"})
# In columns of a terminal. A token with its quotes: words are whole, runs of spaces and dashes are not.
TOKEN_WIDTH = 24
# A list of tokens: all of the longest that an atlas has, unless many are long ones.
TOKEN_LIST_WIDTH = 1000
# Another list: the counts of a histogram.
LIST_WIDTH = 240
_POWERS = [10.0**power for power in range(-4, 6)]


def cell(column: str, value: Any, most: int | None = None) -> str:
    """The text of one cell: floats in four digits, lists joined, unsafe text quoted.

    A text or token is at most `most` columns wide (by default TOKEN_WIDTH in a column of tokens, else TEXT_WIDTH), and
    ends in "…" where it was cut. A number never is.
    """
    most = most or (TOKEN_WIDTH if column in TOKEN_COLUMNS else TEXT_WIDTH)
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
            return " ".join(items(column, value, most))
        case int() | decimal.Decimal():
            return str(value)
        case Prose():
            return printable(value.strip("\n"), keep="\n")
        case Digest():
            return printable(value.short)
        case str() if column in TOKEN_COLUMNS:
            return shortened(value, most, quote=True)
        case _:
            return plain(str(value), most)


def items(column: str, values: Iterable[Any], most: int | None = None) -> Iterator[str]:
    """The cells of the values in a list, as many as fit beside each other; then "…" for the rest."""
    room = (TOKEN_LIST_WIDTH if column in TOKEN_COLUMNS else LIST_WIDTH) - width(ELLIPSIS)
    for value in flat(values):
        text = cell(column, value, most)
        room -= width(text) + 1
        if room < 0:
            yield ELLIPSIS
            return
        yield text


def number(value: float, digits: int = 4) -> str:
    """So many significant digits, of small numbers at least two; an exponent below 0.0001 and from a million on.

    0.9412, 12.31, 0.0312, 0.00081, 1.2e-07.
    """
    if 1e-4 <= (size := abs(value)) < 1e6:
        return _formats(digits)[bisect_right(_POWERS, size)] % value
    if not math.isfinite(value):
        return str(value)
    return f"{value:.1e}" if value else "0"


@functools.cache
def _formats(digits: int) -> list[str]:
    """How a number is written, by how many of _POWERS it has reached: a page has a thousand."""
    magnitudes = range(-5, len(_POWERS) - 4)
    return [f"%.{max(0, min(digits - 1 - magnitude, 4), 1 - magnitude)}f" for magnitude in magnitudes]


def quoted(text: str) -> str:
    """`text` in double quotes with control characters escaped: ' dog' -> '" dog"'."""
    return shortened(text, sys.maxsize, quote=True)


def plain(text: str, most: int = TEXT_WIDTH) -> str:
    """A text or the name of a column, which SQL may choose freely: in quotes where it is unsafe, and shortened."""
    return shortened(text, most, quote=not _reads_as_it_is(text, most))


def is_number(value: Any) -> bool:
    """Whether a cell is set right-aligned (an empty cell takes the side of its column)."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _reads_as_it_is(text: str, most: int) -> bool:
    """Whether nobody takes `text` for another: one with escapes, in quotes, cut, or with less around it."""
    shown = text[: most + 1]
    return printable(shown) == shown and text == text.strip() and text[:1] != '"' and text[-1:] != ELLIPSIS


def flat(values: Iterable[Any]) -> Iterator[Any]:
    """The values of a list, and of the lists in it."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from flat(value)
        else:
            yield value
