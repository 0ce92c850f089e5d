"""JSON: an array of objects, one object a line, or one object with sections."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, BinaryIO

from atlas.answers.result import Document, Result
from atlas.printable import json_text


def write(result: Result, stream: BinaryIO) -> None:
    """An array of objects, one to a line."""
    body = ",\n ".join(map(_text, result))
    stream.write(f"[{body}]\n".encode())


def write_lines(result: Result, stream: BinaryIO) -> None:
    """One object a line."""
    for row in result:
        stream.write(f"{_text(row)}\n".encode())


def write_document(document: Document, stream: BinaryIO) -> None:
    """One object: the fields, then each section as an array of objects, or as its one object."""
    sections = {name: result.dicts() for name, result in document.sections.items()}
    single = {name: sections[name][0] for name, result in document.sections.items() if result.single}
    whole = {**document.fields, **sections, **single}
    stream.write((json_text(plain(whole), indent=1) + "\n").encode())


def plain(value: Any) -> Any:
    """`value` as JSON has it: NaN and infinity become null, times ISO 8601, other types their text."""
    match value:
        case None | bool() | int() | str():
            return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return str(value)


def _text(row: dict[str, Any]) -> str:
    return json_text(plain(row))
