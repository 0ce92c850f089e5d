"""JSON that somebody else wrote, read strictly: what two readers could take for two things is refused.

A field that stands twice is such a thing, and so are some numbers: NaN and the infinities, which are no JSON, and
numbers that no float or no other reader's integer holds. `Numbers` says what becomes of those.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_SMALLEST = math.ulp(0.0)
_DIGITS = 60  # more than any honest number has; int() is slow on thousands
_LONG_DIGITS = 40  # more than any field of ours takes


class JsonError(ValueError):
    """Why a text is refused, in one line without its end, to go on from "it is"."""


@dataclass(frozen=True)
class Numbers:
    """A policy: what becomes of an integer, of a fraction, and of NaN and the infinities, each as it is written."""

    integer: Callable[[str], Any]
    real: Callable[[str], Any]
    constant: Callable[[str], Any]


def read_json(
    content: str | bytes, *, numbers: Numbers | None = None, repeated: Callable[[str], Any] | None = None
) -> Any:
    """The value of a JSON text (bytes: UTF-8). Raises JsonError.

    `numbers`: None means EXACT. An object with a field twice is refused, as others read its first or its last; with
    `repeated`, what that makes of the field's name stands in its place.
    """

    def member(pairs: list[tuple[str, Any]]) -> Any:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        if repeated is None:
            raise JsonError(f"ambiguous: the field {name[:60]!r} stands twice")
        return repeated(name)

    policy = numbers or EXACT
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        return json.loads(
            text,
            object_pairs_hook=member,
            parse_int=policy.integer,
            parse_float=policy.real,
            parse_constant=policy.constant,
        )
    except json.JSONDecodeError as error:
        raise JsonError(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise JsonError("nested too deeply") from None


def _exact_integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise JsonError(f"wrong: a number has {len(digits)} digits")
    return int(digits)


def _exact_real(text: str) -> float:
    number = float(text)
    if math.isinf(number) or (number == 0 and _is_not_zero(text)):
        raise JsonError(f"wrong: {text[:30]} is too {'large' if number else 'small'} for a number")
    return number


def _no_constant(name: str) -> Any:
    raise JsonError(f"wrong: {name} is no number")


def _short_integer(digits: str) -> int | float:
    """An integer of more digits than any field has becomes a float: int() refuses, or takes long, on many."""
    return int(digits) if len(digits) < _LONG_DIGITS else float(digits)


def _nonzero_real(text: str) -> float:
    """float() takes 1e-400 for 0; the smallest float in its place, so that whoever checks sees that it is none."""
    number = float(text)
    if number == 0 and _is_not_zero(text):
        return -_SMALLEST if text.startswith("-") else _SMALLEST
    return number


def _is_not_zero(text: str) -> bool:
    return bool(text.lower().partition("e")[0].strip("-0."))


EXACT = Numbers(_exact_integer, _exact_real, _no_constant)
"""Refused is every number that is none, or that a float or an integer of 60 digits does not hold."""

CHECKED = Numbers(_short_integer, _nonzero_real, float)
"""All pass, as the nearest float where need be (infinity; never 0), for a reader who knows what each field may be and
says which one is wrong."""
