"""Text that somebody else chose, on its way to a person's terminal or into JSON or a spreadsheet.

A terminal obeys what it is sent: ESC moves the cursor and sets the title, a C1 control is an ESC of one byte, and
U+202E turns a line around. So whatever goes to a person has these as escapes (\\x1b, \\u202e); JSON has its own.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import unicodedata
from typing import Any

_NOT_ASCII_TEXT = re.compile(r"[^\x20-\x7e]")
# Controls of one byte and of two, what orders text without being seen, halves of a pair, ends of a line or paragraph.
_CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Where a spreadsheet begins a formula, also after what it skips, and in the wide forms that some take for the same.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def printable(text: str, keep: str = "") -> str:
    """`text` with every character that does not stand for itself on a screen as an escape, but not those of `keep`."""
    return _NOT_ASCII_TEXT.sub(lambda found: _escaped(found[0], keep), text)


def say(kind: str, text: str) -> None:
    """One line for a person on stderr: 'note: ...', 'error: ...', 'hint: ...'. Where that is full it goes nowhere."""
    with contextlib.suppress(OSError, ValueError):  # what nobody hears is no reason to lose an answer
        sys.stderr.write(f"{kind}: {printable(text)}\n")
        sys.stderr.flush()


def for_stdout(text: str) -> str:
    """A text that goes to stdout as it is, such as a path or a cell of CSV; escaped where stdout is a terminal."""
    return printable(text) if sys.stdout.isatty() else text


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON that is safe to look at: letters as they are, controls of any kind as \\uXXXX, no NaN."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return _NOT_ASCII_TEXT.sub(lambda found: _json_escaped(found[0]), text)


def without_formula(text: str) -> str:
    """`text` for a cell of a spreadsheet: with ' before what it would take for a formula."""
    return "'" + text if text.startswith(_FORMULA) else text


def _escaped(character: str, keep: str) -> str:
    if character in keep or character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _json_escaped(character: str) -> str:
    # A line feed stands between values: dumps has escaped those inside.
    if character == "\n" or character.isprintable() or unicodedata.category(character) not in _CONTROLS:
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"
