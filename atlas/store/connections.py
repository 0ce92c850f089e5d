"""The connections of an open atlas: its lanes. Each is lent to one question at a time, so threads never share one.

There are as many as questions were asked at the same moment, and never more than MOST: a thread that comes and goes
leaves nothing behind, the next one takes over its connection with the statements that it has parsed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import duckdb

from atlas.errors import QuestionError
from atlas.store.attached import another

MOST = 16
_TRIES, _AGAIN_S = 40, 0.05


class Lane:
    """A connection to one atlas and the statements that it has parsed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._parsed: dict[str, duckdb.Statement] = {}

    def run(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of a statement that is asked often, with `values` for its parameters.

        Parsed, not prepared: DuckDB plans a prepared statement anew each time, and has to parse its EXECUTE first.
        """
        if sql not in self._parsed:
            (self._parsed[sql],) = self.connection.extract_statements(sql)
        return self.connection.execute(self._parsed[sql], dict(values)).fetchall()


_open: WeakSet[Connections] = WeakSet()
_inherited: list[Connections] = []


def _keep_inherited() -> None:
    """In a fork: what was open stays so. To close a connection without the threads of its DuckDB ends the process."""
    _inherited.extend(_open)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_inherited)


class Connections:
    """Lends connections to the instance of DuckDB that `first` belongs to. Any thread may call any method."""

    def __init__(self, first: duckdb.DuckDBPyConnection, overlay: str = "") -> None:
        self._first = first  # never lent: the others are made from it
        self._overlay = overlay
        self._idle: list[Lane] = []
        # Weak: a KeyboardInterrupt can come between any two steps, also before a lane is given back.
        self._lent: WeakSet[Lane] = WeakSet()
        self._closed = False
        self._process = os.getpid()
        self._changed = threading.Condition()
        _open.add(self)

    @contextmanager
    def lend(self) -> Iterator[Lane]:
        """A lane that nobody else has. Waits while MOST are lent; QuestionError when the atlas is closed.

        A lane whose question failed is not lent again: what state it was left in need not be known.
        """
        lane = self._take()
        usable = False
        try:
            yield lane
            usable = True
        finally:
            self._give_back(lane, usable)

    @contextmanager
    def lend_more(self, most: int) -> Iterator[list[Lane]]:
        """Up to `most` lanes for who has one already: fewer, or none, where all are lent. Waits for nobody."""
        lanes: list[Lane] = []
        usable = False
        try:
            while len(lanes) < most and (lane := self._take_now()) is not None:
                lanes.append(lane)
            yield lanes
            usable = True
        finally:
            for lane in lanes:
                self._give_back(lane, usable)

    def interrupt(self) -> None:
        """End whatever is being asked: each of these questions raises QuestionError."""
        with self._changed:
            for lane in self._lent:
                lane.connection.interrupt()

    def close(self) -> None:
        """Close all connections, those that are lent when they come back: their questions are ended.

        Nothing in a fork: the connections are those of the process that opened them.
        """
        if os.getpid() != self._process:
            return
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
            for lane in idle:
                lane.connection.close()
            for _ in range(_TRIES):  # an interruption that comes just before a statement begins is lost on it
                for lane in self._lent:
                    lane.connection.interrupt()
                if not self._lent:
                    break
                self._changed.wait(_AGAIN_S)
            self._close_first()

    def _take(self) -> Lane:
        if os.getpid() != self._process:  # a fork has no threads but its own, DuckDB's are gone
            raise QuestionError("the atlas was opened by another process", "Open it after the fork, in each process.")
        with self._changed:
            while (lane := self._take_now()) is None:
                self._changed.wait()
            return lane

    def _take_now(self) -> Lane | None:
        """A lane; None where all are lent."""
        with self._changed:
            if self._closed:
                raise QuestionError("the atlas is closed", "Open it again.")
            if not self._idle and len(self._lent) >= MOST:
                return None
            lane = self._idle.pop() if self._idle else Lane(another(self._first, self._overlay))
            self._lent.add(lane)
            return lane

    def _give_back(self, lane: Lane, usable: bool) -> None:
        with self._changed:
            self._lent.discard(lane)
            keep = usable and not self._closed
            if keep:
                self._idle.append(lane)
            self._changed.notify()
        if not keep:
            lane.connection.close()
            with self._changed:
                if self._closed:
                    self._close_first()

    def _close_first(self) -> None:
        """Close the first connection once none is lent: it would take the others along, which DuckDB refuses."""
        if not self._lent:
            self._first.close()
