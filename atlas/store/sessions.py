"""The connections of an open atlas. Each is lent to one question at a time, so threads never share one.

There are as many as questions were asked at the same moment, and never more than MOST: a thread that comes and goes
leaves nothing behind, the next one takes over its connection with the statements that it has parsed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import duckdb

from atlas.errors import QuestionError
from atlas.store.attached import another

MOST = 16
_TRIES, _AGAIN_S = 40, 0.05


class Session:
    """A connection and the statements that it has parsed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._names: dict[str, str] = {}

    def run(self, sql: str, values: str) -> list[tuple[Any, ...]]:
        """All rows of a statement that is asked often; `values`: the parameters as EXECUTE takes them."""
        if sql not in self._names:
            name = f"asked_often_{len(self._names)}"
            self.connection.execute(f"PREPARE {name} AS {sql}")
            self._names[sql] = name
        return self.connection.execute(f"EXECUTE {self._names[sql]}({values})").fetchall()


class Sessions:
    """Lends connections to the instance of DuckDB that `first` belongs to. Any thread may call any method."""

    def __init__(self, first: duckdb.DuckDBPyConnection, overlay: str = "") -> None:
        self._first = first  # never lent: the others are made from it
        self._overlay = overlay
        self._idle: list[Session] = []
        # Weak: a KeyboardInterrupt can come between any two steps, also before a session is given back.
        self._lent: WeakSet[Session] = WeakSet()
        self._closed = False
        self._changed = threading.Condition()

    @contextmanager
    def lend(self) -> Iterator[Session]:
        """A session that nobody else has. Waits while MOST are lent; QuestionError when the atlas is closed.

        A session whose question failed is not lent again: what state it was left in need not be known.
        """
        session = self._take()
        usable = False
        try:
            yield session
            usable = True
        finally:
            self._give_back(session, usable)

    def interrupt(self) -> None:
        """End whatever is being asked: each of these questions raises QuestionError."""
        with self._changed:
            for session in self._lent:
                session.connection.interrupt()

    def close(self) -> None:
        """Close all connections, those that are lent when they come back: their questions are ended."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
            for session in idle:
                session.connection.close()
            for _ in range(_TRIES):  # an interruption that comes just before a statement begins is lost on it
                for session in self._lent:
                    session.connection.interrupt()
                if not self._lent:
                    break
                self._changed.wait(_AGAIN_S)
            self._close_first()

    def _take(self) -> Session:
        with self._changed:
            while not self._closed and not self._idle and len(self._lent) >= MOST:
                self._changed.wait()
            if self._closed:
                raise QuestionError("the atlas is closed", "Open it again.")
            session = self._idle.pop() if self._idle else Session(another(self._first, self._overlay))
            self._lent.add(session)
            return session

    def _give_back(self, session: Session, usable: bool) -> None:
        with self._changed:
            self._lent.discard(session)
            keep = usable and not self._closed
            if keep:
                self._idle.append(session)
            self._changed.notify()
        if not keep:
            session.connection.close()
            with self._changed:
                if self._closed:
                    self._close_first()

    def _close_first(self) -> None:
        """Close the first connection once none is lent: it would take the others along, which DuckDB refuses."""
        if not self._lent:
            self._first.close()
