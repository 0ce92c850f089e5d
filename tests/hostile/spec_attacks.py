"""Spec documents gone wrong: valid ones changed in their tree, in their text and in their bytes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from tests.atlas.spec.documents import nested, valid

# What may stand in any place: other types, edges of number types, texts that look like something else.
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3,
    4,
    19,
    20,
    0.5,
    -0.0,
    1.0,
    3.0,
    1e-44,
    1e-46,
    5e-324,
    3.4028235e38,
]
VALUES += [3.4028236e38, 1e39, -1e308, 2**31 - 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**39, 10**40, 10**400, 0.1 + 0.2]
VALUES += [
    "",
    "0",
    "1",
    "true",
    "null",
    "NaN",
    "all",
    "last",
    "set",
    "damp",
    "mlp_post",
    "mlp_pre_linear",
    "resid_post",
]
VALUES += [
    "MLP_POST",
    "mlp_post ",
    "ѕet",
    "se\u200bt",
    "ﬁ",
    "\x00",
    "\x1b[2J",
    "\u202e",
    "\ud800",
    "😀",
    "x" * 1000,
    "x" * 1001,
]
VALUES += ["sha256:" + "0" * 64, "sha256:" + "٠" * 64, "sha256:" + "0" * 64 + "\n", "__proto__", "../../etc/passwd"]
VALUES += [[], {}, [0], [0, 0], [[0]], {"lower": 0, "upper": 1}, {"lower": 1, "upper": 1}, {"lower": 1, "upper": 0}]
# Spellings of numbers, JSON's and others'.
LITERALS = (
    "NaN Infinity -Infinity nan 1e999 -1e999 1e-400 -1e-400 0e-400 1E1 1e+1 -0 -0.0 01 +1 .5 1. 0x1 1_0 1e 1e5".split()
)
LITERALS += [
    "٣",
    "9" * 39,
    "9" * 40,
    "9" * 5000,
    "1" + "0" * 400,
    "0." + "0" * 400 + "1",
    "1.00000005960464477539062",
    "10e-1",
]
PIECES = [
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    '"',
    "\\",
    "\\u0000",
    "\\ud800",
    "//",
    "/**/",
    "#",
    "'",
    "\x00",
    "\ufeff",
    "\u00a0",
    "\n",
    "\u2028",
]


def attack(random: Random) -> str | bytes:
    """One document: a valid one after one to three changes, of which some change nothing that it means."""
    document = valid()
    if random.random() < 0.3:
        del document["check"]
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        random.choice(TREE)(random, document)
    text = json.dumps(document, ensure_ascii=random.random() < 0.5, allow_nan=True)
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        text = random.choice(TEXT)(random, text)
    return random.choice(BYTES)(random, text) if random.random() < 0.15 else text


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) of a tree."""
    found = []
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            found += [(value, key), *_places(value[key])]
    return found


def _place(random: Random, document: Any) -> tuple[Any, Any]:
    return random.choice(_places(document) or [({"x": 0}, "x")])


def _replaced(random: Random, document: dict[str, Any]) -> None:
    container, key = _place(random, document)
    container[key] = copy.deepcopy(random.choice(VALUES))


def _removed(random: Random, document: dict[str, Any]) -> None:
    container, key = _place(random, document)
    del container[key]


def _swapped(random: Random, document: dict[str, Any]) -> None:
    (one, a), (other, b) = _place(random, document), _place(random, document)
    one[a], other[b] = copy.deepcopy(other[b]), copy.deepcopy(one[a])


def _wrapped(random: Random, document: dict[str, Any]) -> None:
    container, key = _place(random, document)
    container[key] = random.choice(
        ([container[key]], {"value": container[key]}, nested(random.choice((1, 7, 8, 9, 300))))
    )


def _renamed(random: Random, document: dict[str, Any]) -> None:
    container, key = _place(random, document)
    if isinstance(container, dict):
        new = random.choice(
            (key.upper(), key + "s", key[:-1], f"{key} ", f"{key}\0", f"\u200b{key}", "when", "value", "id")
        )
        container[new] = container.pop(key)


def _added(random: Random, document: dict[str, Any]) -> None:
    container, _ = _place(random, document)
    if isinstance(container, dict):
        container[random.choice(("when", "note", "enabled", "__class__", "", "x" * 2000))] = random.choice(VALUES)
    else:
        container.append(copy.deepcopy(random.choice([*container, *VALUES])))


def _reordered(random: Random, document: dict[str, Any]) -> None:
    for container, key in [({"": document}, ""), *_places(document)]:
        inner = container[key]
        if isinstance(inner, dict):
            pairs = list(inner.items())
            random.shuffle(pairs)
            inner.clear()
            inner.update(pairs)
    for name in ("edits", "positions"):
        if isinstance(document.get(name), list):
            random.shuffle(document[name])


def _nudged(random: Random, document: dict[str, Any]) -> None:
    numbers = [(c, k) for c, k in _places(document) if type(c[k]) in (int, float) and abs(c[k]) < 1e300]
    if numbers:
        container, key = random.choice(numbers)
        x = container[key]
        container[key] = random.choice((x + 1, x - 1, -x, float(x), x * 2, x * 1e-30, x * (1 + 1e-9)))


def _positions(random: Random, document: dict[str, Any]) -> None:
    document["positions"] = [random.randrange(6) for _ in range(random.choice((1, 1, 2, 3)))]


def _literal(random: Random, text: str) -> str:
    numbers = list(re.finditer(r"(?<=[ \[])-?\d[\d.eE+-]*(?=[,}\]])", text))
    if not numbers:
        return text
    chosen = random.choice(numbers)
    return text[: chosen.start()] + random.choice(LITERALS) + text[chosen.end() :]


def _twice(random: Random, text: str) -> str:
    """A field that stands twice, now and then with an escape in its name or with another value."""
    fields = list(re.finditer(r'"(\w+)": ("[^"\\]*"|-?[\d.e+-]+|true|false|null)', text))
    if not fields:
        return text
    chosen = random.choice(fields)
    name, value = chosen.groups()
    name = random.choice((name, f"\\u{ord(name[0]):04x}{name[1:]}"))
    again = f'"{name}": {random.choice((value, "0", "null", json.dumps(random.choice(VALUES))))}'
    return (
        text[: chosen.start()]
        + random.choice((f"{again}, {chosen[0]}", f"{chosen[0]}, {again}"))
        + text[chosen.end() :]
    )


def _escaped(random: Random, text: str) -> str:
    """A letter written as its escape, which means the same."""
    letters = list(re.finditer(r"(?<=\w)[a-z](?=\w)", text))
    if not letters:
        return text
    chosen = random.choice(letters)
    return f"{text[: chosen.start()]}\\u{ord(chosen[0]):04X}{text[chosen.end() :]}"


def _spaced(random: Random, text: str) -> str:
    return text.replace(
        random.choice((", ", ": ")), random.choice((",", ":", ",\n", " :\t", " , \r\n")), random.randrange(1, 9)
    )


def _cut(random: Random, text: str) -> str:
    return text[: random.randrange(len(text) + 1)]


def _spliced(random: Random, text: str) -> str:
    start = random.randrange(len(text) + 1)
    return text[:start] + random.choice(PIECES) + text[start + random.choice((0, 0, 1, 5)) :]


def _added_text(random: Random, text: str) -> str:
    return random.choice(
        (text + text, text + ",", f"[{text}]", f"\ufeff{text}", f" \n{text}\n", text + "\x00", f"x={text}")
    )


def _deep(random: Random, text: str) -> str:
    opened, closed = random.choice((("[", "]"), ('{"a":', "}")))
    depth = random.choice((3, 8, 900, 20_000))
    return text.replace('"a1"', opened * depth + "0" + closed * depth, 1)


def _flipped(random: Random, text: str) -> bytes:
    content = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(random.choice((1, 2, 8)) if content else 0):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return bytes(content)


def _encoded(random: Random, text: str) -> bytes:
    return text.encode(random.choice(("utf-8", "utf-8-sig", "utf-16", "utf-32-le", "latin-1", "utf-7")), "replace")


TREE: list[Callable[[Random, Any], None]] = [_replaced, _replaced, _removed, _swapped, _wrapped, _renamed, _added]
TREE += [_reordered, _nudged, _nudged, _positions]
TEXT: list[Callable[[Random, str], str]] = [
    _literal,
    _literal,
    _twice,
    _escaped,
    _spaced,
    _cut,
    _spliced,
    _added_text,
    _deep,
]
BYTES: list[Callable[[Random, str], bytes]] = [_flipped, _encoded]
