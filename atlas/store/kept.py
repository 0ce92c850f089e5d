"""What the questions to one atlas keep in memory for the next ones: guarded, read once, bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar, overload

LIMIT_BYTES = 2 * 2**30
_COUNTED = 10_000


class Sized(Protocol):
    """A value that says how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """Bytes."""


Value = TypeVar("Value", bound=Sized)


class Kept:
    """Values by key, up to `limit` bytes: what was not asked for longest goes first. For any number of threads."""

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self.limit = limit
        self.nbytes = 0
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._asked: OrderedDict[Hashable, int] = OrderedDict()
        self._reading: dict[Hashable, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, key: Hashable) -> Any | None:
        """The value, or None while it is not in memory."""
        with self._guard:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keys(self) -> list[Hashable]:
        """What is in memory, the longest unasked first."""
        with self._guard:
            return list(self._values)

    def put(self, key: Hashable, value: Sized) -> None:
        """Keep a value; one that is larger than the limit is not kept."""
        with self._guard:
            if key in self._values:
                self.nbytes -= self._values.pop(key).nbytes
            if value.nbytes > self.limit:
                return
            self._values[key] = value
            self.nbytes += value.nbytes
            while self.nbytes > self.limit:
                _, gone = self._values.popitem(last=False)
                self.nbytes -= gone.nbytes

    @overload
    def read(self, key: Hashable, read: Callable[[], Value]) -> Value: ...

    @overload
    def read(self, key: Hashable, read: Callable[[], Value], patience: int) -> Value | None: ...

    def read(self, key: Hashable, read: Callable[[], Value], patience: int = 0) -> Value | None:
        """The value; read by the first of the threads that ask for it, while the others wait for it.

        None for the first `patience` questions, which the reading would cost more than it spares.
        """
        found = self.get(key)
        if found is not None or not self._often(key, patience):
            return found
        with self._guard:
            lock = self._reading.setdefault(key, threading.Lock())
        with lock:
            found = self.get(key)
            if found is None:
                found = read()
                self.put(key, found)
        with self._guard:
            self._reading.pop(key, None)
        return found

    def _often(self, key: Hashable, patience: int) -> bool:
        with self._guard:
            asked = self._asked[key] = self._asked.pop(key, 0) + 1
            if len(self._asked) > _COUNTED:
                self._asked.popitem(last=False)
            return asked > patience
