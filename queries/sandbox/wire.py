"""Values across a process boundary as lines of JSON: what DuckDB returns arrives equal, with its type.

Plain JSON has no dates, decimals, bytes or tuples; those travel as an object with one key that names the
type. Decoding builds values of that table and nothing else, so a line cannot make the reader run code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

# tag -> (type, to JSON, from JSON)
_TAGS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "decimal": (Decimal, str, Decimal),
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
    "time": (time, time.isoformat, time.fromisoformat),
    "interval": (timedelta, lambda v: [v.days, v.seconds, v.microseconds], lambda v: timedelta(*v)),
    "blob": (bytes, bytes.hex, bytes.fromhex),
    "uuid": (UUID, str, UUID),
    "tuple": (tuple, lambda v: [_tag(item) for item in v], tuple),
    "map": (dict, lambda v: [[_tag(key), _tag(item)] for key, item in v.items()], dict),
}
_BY_TYPE = {kind: (tag, encode) for tag, (kind, encode, _) in _TAGS.items()}
# NaN and the infinities are written as Python's json writes them, outside the standard but read back.
_PLAIN = (type(None), bool, int, float, str)


def encode(kind: str, payload: Any) -> bytes:
    """One message as one line. Raises TypeError for a value of a type that does not travel."""
    text = json.dumps([kind, _tag(payload)], ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") + b"\n"


def decode(line: bytes) -> tuple[str, Any]:
    """The message of one line. Raises ValueError when the line is not one."""
    kind, payload = json.loads(line.decode("utf-8", "surrogatepass"), object_hook=_untag)
    return kind, payload


def _tag(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [_tag(item) for item in value]
    if kind not in _BY_TYPE:
        raise TypeError(f"a value of type {kind.__name__} cannot be returned")
    tag, to_json = _BY_TYPE[kind]
    return {tag: to_json(value)}


def _untag(found: dict[str, Any]) -> Any:
    ((tag, payload),) = found.items()
    if tag not in _TAGS:
        raise ValueError(f"unknown tag {tag!r}")
    return _TAGS[tag][2](payload)
