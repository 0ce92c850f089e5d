"""JSON files of a checkpoint, read more strictly than json does: what two readers could take differently is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_DIGITS = 60  # more than any honest number has; int() is slow on thousands


class NotStrict(ValueError):
    """What is wrong with the text, in a few words."""


def read_json(path: Path, most_bytes: int) -> Any:
    """The value in the file `path`. Raises NotStrict or OSError."""
    with path.open("rb") as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise NotStrict(f"{path.name} is larger than {most_bytes >> 20} MiB")
    try:
        return parse_json(content)
    except NotStrict as error:
        raise NotStrict(f"{path.name} is {error}") from None


def parse_json(content: bytes) -> Any:
    """The value. Raises NotStrict for a field that stands twice, NaN, infinity, depth and endless numbers."""
    try:
        return json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except UnicodeDecodeError as error:
        raise NotStrict(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotStrict(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotStrict("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise NotStrict(f"ambiguous: the field {twice[:60]!r} stands twice")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise NotStrict(f"wrong: a number has {len(digits)} digits")
    return int(digits)


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise NotStrict(f"wrong: {text[:30]} is too large")
    return value


def _constant(name: str) -> Any:
    raise NotStrict(f"wrong: {name} is no number")
