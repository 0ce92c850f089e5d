"""JSON that somebody else wrote, read strictly: what two readers could take for two things is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any


class JsonError(ValueError):
    """Why a text is no JSON, in one line without its end."""


def read_json(content: str | bytes, *, repeated: Callable[[str], Any] | None = None) -> Any:
    """The value of a JSON text (bytes: UTF-8). Raises JsonError.

    An object with a field twice is refused, as others read its first or its last; with `repeated`, what that makes
    of the field's name stands in its place. Without it NaN and the infinities, which are no JSON, are refused too.
    Integers of 40 digits and more become floats.
    """

    def member(pairs: list[tuple[str, Any]]) -> Any:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        if repeated is None:
            raise JsonError(f"the field {name[:60]!r} stands twice")
        return repeated(name)

    try:
        constant = _refuse_constant if repeated is None else None
        text = content if isinstance(content, str) else content.decode("utf-8")
        return json.loads(text, object_pairs_hook=member, parse_int=_integer, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise JsonError(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise JsonError("nested too deeply") from None


def _refuse_constant(name: str) -> Any:
    raise JsonError(f"{name} is not a JSON number")


def _integer(digits: str) -> int | float:
    """An integer of more digits than any field has becomes a float: int() refuses, or takes long, on many."""
    return int(digits) if len(digits) < 40 else float(digits)
