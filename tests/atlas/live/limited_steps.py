"""Steps for a limited process, in a module that imports nothing slow: what it imports is done in each of them."""

from __future__ import annotations

from typing import Any

from atlas.live import limited


def endless(_: Any) -> None:
    while True:
        pass


def greedy(_: Any) -> int:
    return len(bytearray(limited.MEMORY + (1 << 30)))


def big(n_bytes: int) -> int:
    return len(bytearray(n_bytes))


def wrong(_: Any) -> None:
    raise KeyError("line\nline")


class Panic(BaseException):
    """As a panic of Rust comes through: not an Exception."""


def panic(_: Any) -> None:
    raise Panic("index out of bounds")
