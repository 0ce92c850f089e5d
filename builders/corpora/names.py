"""Names that are shown to people: what they may hold, and how a stranger's are quoted."""

from __future__ import annotations

import unicodedata

from builders.corpora.limits import MAX_NAME

_UNPRINTABLE = {
    "Cc": "a control character",
    "Cf": "an invisible formatting character",
    "Cs": "a lone surrogate",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
_JOINERS = "\u200c\u200d"
"""Invisible, but part of how Persian, Indic scripts and emoji are spelled."""
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols that are drawn as nothing."""


def unfit(name: str) -> str | None:
    """Why `name` cannot be one: "holds a control character (U+001B)", "is longer than ...". None: it can."""
    if len(name) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    for sign in name:
        kind = _UNPRINTABLE.get(unicodedata.category(sign))
        if kind is not None and sign not in _JOINERS:
            return f"holds {kind} (U+{ord(sign):04X})"
    if all(sign in _JOINERS or sign in _BLANK or unicodedata.category(sign)[0] in "MZC" for sign in name):
        return "holds nothing that can be seen"
    return None


def quoted(name: str) -> str:
    """A name as it may stand in a message: escaped where it is not printable, shortened where it is long."""
    shown = name[:60]
    shown = shown if unfit(shown) is None else shown.encode("unicode_escape").decode("ascii")
    return shown + ("..." if len(name) > 60 else "")


def listed(names: list[str], most: int = 12) -> str:
    """Names with commas, no more than `most` of them."""
    if not names:
        return "(none)"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(quoted, names[:most])) + more
