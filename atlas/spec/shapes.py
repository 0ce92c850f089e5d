"""Shapes of JSON values: each checks a value and describes itself as JSON Schema, from one declaration.

A shape's `check(value)` returns the value in canonical form or raises ShapeError, which collects the path
to the value on its way out. Here are the shapes of single values; those that contain others are in
json_records.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Protocol

from atlas.errors import SpecError, UnknownNameError
from atlas.spec.float32 import FLOAT32_MAX, shortest_float32

INTEGER_MAX = 2**31 - 1


class ShapeError(Exception):
    """A value of another shape: the problem, a hint, and the path that grows while this is on its way."""

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem, self.hint, self.path = problem, hint, ""
        super().__init__(problem)

    def under(self, step: str) -> ShapeError:
        """The same error seen from one level up: `step` is a field name or an index like [3]."""
        joint = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{step}{joint}{self.path}"
        return self

    def spec_error(self) -> SpecError:
        """'edits[3].when: lower 3.1 > upper 0.4' as the error that a user meets."""
        return SpecError(f"{self.path}: {self.problem}" if self.path else self.problem, self.hint)


def _is_a(kind: type, value: Any) -> bool:
    """Whether a value, of whatever library, is a number of this kind; a truth value is none."""
    return isinstance(value, kind) and not isinstance(value, bool)


class Shape(Protocol):
    """What every shape offers."""

    def check(self, value: Any) -> Any: ...

    def schema(self) -> dict[str, Any]: ...


def shown(value: Any) -> str:
    """A value as an error names it: JSON words, and never more than a line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:60] + "…")
    if type(value) is float or (type(value) is int and abs(value) < 10**40):
        return repr(value)
    return "a huge integer" if type(value) is int else f"a Python {type(value).__name__}"


def expected(what: str, value: Any) -> ShapeError:
    """The error of a value of the wrong type."""
    return ShapeError(f"expected {what}, got {shown(value)}")


def clean_text(value: str) -> str:
    """`value` as it is. ShapeError if it holds half of a surrogate pair, which UTF-8 cannot write."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ShapeError(f"character {error.start} is half of a surrogate pair") from None
    return str(value)


@dataclass(frozen=True)
class Boolean:
    """true or false."""

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise expected("true or false", value)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Integer:
    """A whole number in [minimum, INTEGER_MAX]; true, false and 29.0 are not."""

    minimum: int = 0

    def check(self, value: Any) -> int:
        if type(value) is not int and not _is_a(Integral, value):
            raise expected("an integer", value)
        if not self.minimum <= value <= INTEGER_MAX:
            raise ShapeError(f"{shown(int(value))} is outside {self.minimum}..{INTEGER_MAX}")
        return int(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.minimum, "maximum": INTEGER_MAX}


@dataclass(frozen=True)
class Number:
    """A finite float32, kept as its shortest decimal; `above` is excluded, `at_most` included."""

    above: float | None = None
    at_most: float | None = None

    def check(self, value: Any) -> float:
        if type(value) is not float and not _is_a(Real, value):
            raise expected("a number", value)
        if value != value:
            raise ShapeError("NaN is not a number")
        if abs(value) > FLOAT32_MAX:
            raise ShapeError(f"{shown(value)} is beyond float32", f"The largest is {FLOAT32_MAX}.")
        number = shortest_float32(float(value))
        if number == 0 and value != 0:
            raise ShapeError(f"{shown(value)} is too small for float32", "Write 0 if that is meant.")
        if self.above is not None and not number > self.above:
            raise ShapeError(f"{shown(value)} is not above {self.above:g}")
        if self.at_most is not None and not number <= self.at_most:
            raise ShapeError(f"{shown(value)} is above {self.at_most:g}")
        return number

    def schema(self) -> dict[str, Any]:
        low = {"minimum": -FLOAT32_MAX} if self.above is None else {"exclusiveMinimum": self.above}
        return {"type": "number", **low, "maximum": FLOAT32_MAX if self.at_most is None else self.at_most}


@dataclass(frozen=True)
class Text:
    """A non-empty text; `pattern` (for the whole of it) and `example` say more."""

    pattern: str = ""
    example: str = ""
    at_most: int = 1000

    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise expected("a text", value)
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ShapeError(f"{shown(value)} is not of the form {self.example}")
        if not 0 < len(value) <= self.at_most:
            raise ShapeError(f"a text of 1 to {self.at_most} characters is needed, this has {len(value)}")
        if not value.isprintable():
            raise ShapeError(f"{shown(value)} holds a character that cannot be printed")
        return str(value)

    def schema(self) -> dict[str, Any]:
        pattern = {"pattern": f"^{self.pattern}$"} if self.pattern else {}
        return {"type": "string", "minLength": 1, "maxLength": self.at_most, **pattern}


@dataclass(frozen=True)
class Choice:
    """One of a few names; an unknown one gets the nearest suggested."""

    kind: str
    names: tuple[str, ...]

    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise expected(f"one of {', '.join(self.names)}", value)
        if value not in self.names:
            error = UnknownNameError(self.kind, value[:60], self.names)
            raise ShapeError(error.message, error.hint)
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.names)}
