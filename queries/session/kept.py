"""Values in memory by key: guarded, read once, bounded in bytes, counted."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol, TypeVar

_COUNTED = 10_000


class Sized(Protocol):
    """A value that says how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """Bytes."""


Value = TypeVar("Value", bound=Sized)


class Item(NamedTuple):
    """A value in memory: what it is, its bytes, how often it was found and not found, the seconds it took to make."""

    name: str
    nbytes: int
    hits: int
    misses: int
    seconds: float


class _Count:
    """What is known of a key: `asked` since it was last in memory."""

    def __init__(self) -> None:
        self.asked = self.hits = self.misses = 0
        self.seconds = 0.0
        self.too_large = False


class Kept:
    """Values by key, up to `limit` bytes: what was not asked for longest goes first. For any number of threads.

    A value that is being made, and one that its asker still holds, are not counted.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.nbytes = 0
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._counts: OrderedDict[Hashable, _Count] = OrderedDict()
        self._reading: dict[Hashable, threading.Lock] = {}
        self._closed = False
        self._guard = threading.Lock()

    def get(self, key: Hashable) -> Any | None:
        """The value, or None while it is not in memory."""
        with self._guard:
            return self._find(key)

    def keys(self) -> list[Hashable]:
        """What is in memory, the longest unasked first."""
        with self._guard:
            return list(self._values)

    def items(self) -> list[Item]:
        """What is in memory with its numbers, the longest unasked first."""
        with self._guard:
            counts = {key: self._counts.get(key, _Count()) for key in self._values}
            return [
                Item(_name(key), value.nbytes, counts[key].hits, counts[key].misses, counts[key].seconds)
                for key, value in self._values.items()
            ]

    def put(self, key: Hashable, value: Sized) -> None:
        """Keep a value; one that is larger than the limit is not kept, and none after `close`."""
        with self._guard:
            self._put(key, value)

    def read(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """The value; read by the first of the threads that ask for it, while the others wait for it."""
        with self._guard:
            found: Value | None = self._find(key)
            if found is not None:
                return found
            self._count(key).misses += 1
            lock = self._reading.setdefault(key, threading.Lock())
        try:
            with lock:
                with self._guard:
                    found = self._values.get(key)
                if found is None:
                    found = self._read(key, read)
            return found
        finally:
            with self._guard:
                self._reading.pop(key, None)

    def read_if_often(self, key: Hashable, read: Callable[[], Value], patience: int) -> Value | None:
        """The same, but None for the first `patience` questions, which the reading would cost more than it spares.

        None as well where the value has turned out larger than the limit. One that had to make room is asked for as
        often again before it comes back.
        """
        with self._guard:
            if key not in self._values:
                count = self._count(key)
                count.asked += 1
                if count.asked <= patience or count.too_large:
                    count.misses += 1
                    return None
        return self.read(key, read)

    def clear(self) -> None:
        """Keep nothing of what is in memory now, and count from zero."""
        with self._guard:
            self._values.clear()
            self._counts.clear()
            self.nbytes = 0

    def close(self) -> None:
        """Keep nothing from now on."""
        with self._guard:
            self._closed = True
        self.clear()

    def _read(self, key: Hashable, read: Callable[[], Value]) -> Value:
        start = time.perf_counter()
        found = read()
        with self._guard:
            count = self._count(key)
            count.seconds, count.too_large = time.perf_counter() - start, found.nbytes > self.limit
            self._put(key, found)
        return found

    def _find(self, key: Hashable) -> Any | None:
        if key in self._values:
            self._values.move_to_end(key)
            self._count(key).hits += 1
        return self._values.get(key)

    def _put(self, key: Hashable, value: Sized) -> None:
        if key in self._values:
            self.nbytes -= self._values.pop(key).nbytes
        if self._closed or value.nbytes > self.limit:
            return
        self._values[key] = value
        self.nbytes += value.nbytes
        while self.nbytes > self.limit:
            gone, value = self._values.popitem(last=False)
            self.nbytes -= value.nbytes
            if gone in self._counts:
                self._counts[gone].asked = 0

    def _count(self, key: Hashable) -> _Count:
        count = self._counts[key] = self._counts.pop(key) if key in self._counts else _Count()
        while len(self._counts) > _COUNTED:
            self._counts.popitem(last=False)
        return count


def _name(key: Hashable) -> str:
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(key)
