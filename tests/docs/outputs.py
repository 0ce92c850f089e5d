"""Compares what a page says a command prints with what it prints here: texts exactly, measured numbers nearly.

A line is cut into words and numbers. Words, quoted texts, addresses (L29N808) and whole numbers (counts, ranks, sizes)
must be the same. A number with a decimal point was measured or computed in float32, whose last digits depend on the
processor: it may differ by RELATIVE of the page's value, or by ABSOLUTE, whichever is more. Widths of columns follow
from the digits, so blanks and ruled lines count once however long they are.
"""

from __future__ import annotations

import re

RELATIVE = 0.01
ABSOLUTE = 0.0002

_PART = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<rule>[─-]{3,})
    |(?P<number>(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w]|\.\d))
    |(?P<word>[^\s"\d─-]+|\S)""",
    re.VERBOSE,
)


def first_difference(page: str, now: str) -> str | None:
    """The first difference that is more than rounding, for people to read, or None."""
    wanted, found = page.splitlines(), now.splitlines()
    for number, (old, new) in enumerate(zip(wanted, found, strict=False), 1):
        difference = _difference(old, new)
        if difference:
            return f"line {number}: {difference}\n  page: {old}\n  now:  {new}"
    if len(wanted) != len(found):
        longer, where = (wanted, "page") if len(wanted) > len(found) else (found, "output of now")
        at = min(len(wanted), len(found))
        return f"line {at + 1}: only the {where} goes on\n  {longer[at]}"
    return None


def _difference(page: str, now: str) -> str | None:
    wanted, found = _parts(page), _parts(now)
    for old, new in zip(wanted, found, strict=False):
        if not _same(old, new):
            return f"{old[1]} on the page, {new[1]} now"
    if len(wanted) != len(found):
        return f"{len(wanted)} words and numbers on the page, {len(found)} now"
    return None


def _parts(line: str) -> list[tuple[str, str]]:
    """Kind and text; all ruled lines are the same, and so is minus nothing."""
    parts = [(found.lastgroup or "", found[0]) for found in _PART.finditer(line)]
    return [(kind, "---" if kind == "rule" else text) for kind, text in parts]


def _same(page: tuple[str, str], now: tuple[str, str]) -> bool:
    if page == now:
        return True
    if page[0] != "number" or now[0] != "number" or not any(mark in page[1] + now[1] for mark in ".e"):
        return False
    old, new = float(page[1]), float(now[1])
    return abs(old - new) <= max(RELATIVE * abs(old), ABSOLUTE)
