"""Shapes that contain other shapes: a list, a word or a list, an object of known fields, any object."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from atlas.errors import UnknownNameError
from atlas.spec.shapes import Choice, Shape, ShapeError, clean_text, expected, shown


class RepeatedFields(dict[str, Any]):
    """What the reader makes of a JSON object that has the field `name` twice; every shape refuses it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def error(self) -> ShapeError:
        """The error that names the field."""
        return ShapeError(f"the field {shown(self.name)} stands twice")


@dataclass(frozen=True)
class Items:
    """A list of `at_least` to `at_most` values of one shape, kept as a tuple."""

    item: Shape
    at_least: int = 1
    at_most: int = 1_000_000
    distinct: bool = False

    def check(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise expected("a list", value)
        if len(value) < self.at_least:
            raise ShapeError(f"at least {self.at_least} needed, the list has {len(value)}")
        if len(value) > self.at_most:
            raise ShapeError(f"{len(value)} in the list, at most {self.at_most} are allowed")
        checked = []
        for index, item in enumerate(value):
            try:
                checked.append(self.item.check(item))
            except ShapeError as error:
                raise error.under(f"[{index}]") from None
        if self.distinct and len(set(checked)) < len(checked):
            raise ShapeError(f"{shown(Counter(checked).most_common(1)[0][0])} stands twice in the list")
        return tuple(checked)

    def schema(self) -> dict[str, Any]:
        unique = {"uniqueItems": True} if self.distinct else {}
        bounds = {"minItems": self.at_least, "maxItems": self.at_most}
        return {"type": "array", "items": self.item.schema(), **bounds, **unique}


@dataclass(frozen=True)
class WordOrItems:
    """One of a few words, or a list."""

    word: Choice
    items: Items

    def check(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return self.items.check(value)
        if not isinstance(value, str):
            raise expected(f"{', '.join(self.word.names)} or a list", value)
        return self.word.check(value)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.word.schema(), self.items.schema()]}


@dataclass(frozen=True)
class Field:
    """One field of a Record."""

    name: str
    shape: Shape
    meaning: str
    optional: bool = False

    def schema(self) -> dict[str, Any]:
        """The shape's schema with the meaning beside it."""
        return {"description": self.meaning, **self.shape.schema()}


@dataclass(frozen=True)
class Record:
    """An object of exactly these fields, kept as an instance of `make`; an instance is checked as well.

    `rule` sees the finished instance and raises ShapeError for what one field alone cannot tell;
    `extra` are the keywords that say so in JSON Schema, where it can.
    """

    make: type
    fields: tuple[Field, ...]
    rule: Callable[[Any], None] | None = None
    extra: Mapping[str, Any] | None = None

    def check(self, value: Any) -> Any:
        given = self._attributes(value) if isinstance(value, self.make) else self.members(value)
        checked = {}
        for field in self.fields:
            if field.name not in given:
                continue
            try:
                checked[field.name] = field.shape.check(given[field.name])
            except ShapeError as error:
                raise error.under(field.name) from None
        instance = self.make(**checked)
        if self.rule is not None:
            self.rule(instance)
        return instance

    def members(self, value: Any) -> Mapping[str, Any]:
        """The object itself, after a look at its field names only: none unknown, missing or repeated."""
        if not isinstance(value, Mapping):
            raise expected("an object", value)
        if isinstance(value, RepeatedFields):
            raise value.error()
        names = [field.name for field in self.fields]
        for name in value:
            if name not in names:
                raise ShapeError(f"unknown field {shown(name)}", UnknownNameError("field", str(name)[:60], names).hint)
        missing = [field.name for field in self.fields if not field.optional and field.name not in value]
        if missing:
            raise ShapeError(f"missing {'fields' if missing[1:] else 'field'} {', '.join(map(repr, missing))}")
        return value

    def _attributes(self, instance: Any) -> dict[str, Any]:
        """The fields of a dataclass instance; one that is optional and None counts as left out."""
        values = {field.name: getattr(instance, field.name) for field in self.fields}
        return {f.name: values[f.name] for f in self.fields if not (f.optional and values[f.name] is None)}

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {field.name: field.schema() for field in self.fields},
            "required": [field.name for field in self.fields if not field.optional],
            "additionalProperties": False,
            **(self.extra or {}),
        }


@dataclass(frozen=True)
class AnyObject:
    """A JSON object with content of its writer's choice, to a depth and a count of values. Kept as a copy."""

    depth: int = 8
    values: int = 10_000

    def check(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise expected("an object", value)
        copied: dict[str, Any] = self._copy(value, self.depth, [self.values])
        return copied

    def _copy(self, value: Any, depth: int, left: list[int]) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise ShapeError(f"more than {self.values} values")
        if isinstance(value, Mapping | list | tuple):
            if depth == 0:
                raise ShapeError(f"nested deeper than {self.depth}")
            if isinstance(value, RepeatedFields):
                raise value.error()
            if isinstance(value, Mapping):
                return {self._name(k): self._inside(v, _step(k), depth, left) for k, v in value.items()}
            return [self._inside(v, f"[{i}]", depth, left) for i, v in enumerate(value)]
        if isinstance(value, str):
            return clean_text(value)
        if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63):
            return value
        if not isinstance(value, float):
            raise expected("a JSON value", value)
        if not math.isfinite(value):
            raise ShapeError(f"{shown(value)} is not a JSON number")
        return value

    def _inside(self, value: Any, step: str, depth: int, left: list[int]) -> Any:
        try:
            return self._copy(value, depth - 1, left)
        except ShapeError as error:
            raise error.under(step) from None

    @staticmethod
    def _name(name: Any) -> str:
        if not isinstance(name, str):
            raise expected("a text as field name", name)
        return clean_text(name)

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}


def _step(name: Any) -> str:
    """A field name as part of a path: as it is where that is harmless to print, else quoted."""
    return name if isinstance(name, str) and name.isidentifier() and len(name) <= 60 else shown(name)
