"""Text that somebody else chose, on its way to a person's terminal or into JSON or a spreadsheet.

A terminal obeys what it is sent: ESC moves the cursor and sets the title, a C1 control is an ESC of one byte, and
U+202E turns a line around. So whatever goes to a person has these as escapes (\\x1b, \\u202e); JSON has its own.

A character stands for itself only if every terminal gives it the same one or two columns, it joins no neighbour, the
line goes on from left to right, and no other spelling looks the same. That is decided for each character alone, so what
people see can be measured, and cut between any two of them.
"""

from __future__ import annotations

import contextlib
import re
import sys
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

ELLIPSIS = "…"
"""Stands where a text was cut."""
TEXT_WIDTH = 80
"""The most that a table gives to a name, a template or a cell of SQL: a fingerprint is whole, a terminal is full."""
# Only a stranger's name makes a message of one line longer than this.
_LONGEST_MESSAGE = 4000
_NOT_ASCII_TEXT = re.compile(r"[^\x20-\x7e]")
# Controls of one byte and of two, what orders text without being seen, halves of a pair, ends of a line or paragraph.
_CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Right to left: such a letter takes the numbers and columns beside it along.
_TURNING = ("R", "AL", "AN")
# Any number of marks fits on one letter, and terminals differ in how many columns they take and from whom.
_MARKS = ("Mn", "Mc", "Me")
# Letters and symbols, for Unicode, that terminals do not agree on either.
_UNSETTLED = re.compile(
    "["
    r"\u0e33\u0eb3\uff9e\uff9f"  # join the letter before them
    r"\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff"  # parts of a Hangul syllable
    r"\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff"  # halves of a flag, colours of a skin
    r"\u2630-\u2637\u268a-\u268f\u4dc0-\u4dff\U0001d300-\U0001d376"  # wide since Unicode 16 only
    r"\u2800\u3164\uffa0"  # drawn as nothing
    "]"
)
# Where a spreadsheet begins a formula, also after what it skips, and in the wide forms that some take for the same.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def printable(text: str, keep: str = "") -> str:
    """`text` with every character that does not stand for itself on a screen as an escape, but not those of `keep`."""
    return _NOT_ASCII_TEXT.sub(lambda found: _escaped(found[0], keep), text)


def width(text: str) -> int:
    """The columns of a terminal that a `printable` text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def shortened(text: str, most: int, *, quote: bool = False) -> str:
    """`text` as `printable` in at most `most` columns: cut between characters, never inside an escape, with "…" there.

    `quote`: in double quotes, inside which \\ and " are escaped. An ellipsis of the text's own at its end is escaped as
    well, so that one there always means a cut.
    """
    mark, room = ('"', most - 2) if quote else ("", most)
    pieces = _pieces(text[: room + 1], quote)  # no character takes less than a column
    if text.endswith(ELLIPSIS) and len(text) <= room:
        pieces = [*pieces[:-1], _as_escape(ELLIPSIS)]
    if len(text) > room or sum(map(width, pieces)) > room:
        pieces = [*_first(pieces, room - width(ELLIPSIS)), ELLIPSIS]
    return f"{mark}{''.join(pieces)}{mark}"


def say(kind: str, text: str) -> None:
    """One line for a person on stderr: 'note: ...', 'error: ...', 'hint: ...'. Where that is full it goes nowhere."""
    with contextlib.suppress(OSError, ValueError):  # what nobody hears is no reason to lose an answer
        sys.stderr.write(f"{kind}: {shortened(text, _LONGEST_MESSAGE)}\n")
        sys.stderr.flush()


def for_stdout(text: str) -> str:
    """A text that goes to stdout as it is, such as a path or a cell of CSV; escaped where stdout is a terminal."""
    return printable(text) if sys.stdout.isatty() else text


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON that is safe to look at: letters as they are, controls of any kind as \\uXXXX, no NaN."""
    import json  # for answers in this form alone

    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return _NOT_ASCII_TEXT.sub(lambda found: _json_escaped(found[0]), text)


def without_formula(text: str) -> str:
    """`text` for a cell of a spreadsheet: with ' before what it would take for a formula."""
    return "'" + text if text.startswith(_FORMULA) else text


def _escaped(character: str, keep: str) -> str:
    return character if character in keep or _stands_for_itself(character) else _as_escape(character)


def _as_escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


@lru_cache(maxsize=2**14)
def _stands_for_itself(character: str) -> bool:
    return (
        character.isprintable()
        and unicodedata.category(character) not in _MARKS
        and unicodedata.bidirectional(character) not in _TURNING
        and unicodedata.is_normalized("NFC", character)
        and not _UNSETTLED.match(character)
    )


@lru_cache(maxsize=2**14)
def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _pieces(text: str, quote: bool) -> Sequence[str]:
    """What each character is shown as."""
    if text.isascii() and text.isprintable() and not (quote and ('"' in text or "\\" in text)):
        return text
    return ["\\" + character if quote and character in '\\"' else _escaped(character, "") for character in text]


def _first(pieces: Sequence[str], room: int) -> list[str]:
    """As many pieces as fit into `room` columns."""
    taken = []
    for piece in pieces:
        room -= width(piece)
        if room < 0:
            break
        taken.append(piece)
    return taken


def _json_escaped(character: str) -> str:
    import json

    # A line feed stands between values: dumps has escaped those inside.
    if character == "\n" or character.isprintable() or unicodedata.category(character) not in _CONTROLS:
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"
