"""The second thread of an open atlas, and what it reads ahead while a question puts together what was read before.

Who will ask several things of an atlas says so at once; each question then finds its rows, or reads them itself where
nobody has begun to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Rows = list[tuple[Any, ...]]
Statement = tuple[str, Mapping[str, Any]]
"""One statement, and the values for its parameters."""


class Helper:
    """`threads` that stay, which one question at a time has: to start a thread costs as much as a statement."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._free = threading.Lock()

    @contextmanager
    def lent(self) -> Iterator[ThreadPoolExecutor | None]:
        """The threads; None while another question has them."""
        if not self._free.acquire(blocking=False):
            yield None
            return
        try:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(self.threads)
            yield self._pool
        finally:
            self._free.release()

    def close(self) -> None:
        """End them."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()


class Ahead:
    """What is read ahead: `asked` are begun in their order in a thread of `helper`. `ask` reads one statement now."""

    def __init__(
        self, ask: Callable[[str, Mapping[str, Any]], Rows], helper: ThreadPoolExecutor, asked: Sequence[Statement]
    ) -> None:
        self._ask = ask
        self._begun: dict[str, Future[Rows]] = {
            _key(sql, values): helper.submit(ask, sql, values) for sql, values in asked
        }

    def rows(self, statements: Sequence[str], values: Mapping[str, Any]) -> list[Rows]:
        """The rows of each of the statements, in order; each is handed over once. Raises what the reading raises."""
        begun = [self._begun.pop(_key(sql, values), None) for sql in statements]
        found: list[Rows | None] = [None] * len(statements)
        # The last first: the other thread comes from the front.
        for place, future in reversed(list(enumerate(begun))):
            if future is None or future.cancel():
                found[place] = self._ask(statements[place], values)
        return [
            future.result() if rows is None and future is not None else rows or []
            for future, rows in zip(begun, found, strict=True)
        ]

    def end(self) -> None:
        """Begin nothing more, and wait for what was begun."""
        left, self._begun = list(self._begun.values()), {}
        for future in left:
            if not future.cancel():
                future.exception()


_now: ContextVar[tuple[object, Ahead] | None] = ContextVar("ahead", default=None)


def ahead_of(owner: object) -> Ahead | None:
    """What is read ahead of an atlas for this thread."""
    found = _now.get()
    return found[1] if found is not None and found[0] is owner else None


@contextmanager
def reading(owner: object, ahead: Ahead) -> Iterator[None]:
    """Have the block find what is read ahead of an atlas."""
    before = _now.set((owner, ahead))
    try:
        yield
    finally:
        _now.reset(before)
        ahead.end()


def _key(sql: str, values: Mapping[str, Any]) -> str:
    return f"{sorted(values.items())} {sql}"
