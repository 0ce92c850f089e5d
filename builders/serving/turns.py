"""One question at a time to a model that several visitors ask: a short queue, and an end for those who left."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atlas.errors import QuestionError

MOST_WAITING = 4
PATIENCE_S = 60.0
"""After so long in the queue a visitor is told that the model is busy."""
_LOOK_S = 0.1
Stopped = Callable[[], bool]


class Left(QuestionError):
    """Nobody waits for the answer any more."""

    def __init__(self) -> None:
        super().__init__("this was stopped")


class Turns:
    """Who may use the model. Any thread may ask for a turn; they come in the order in which they asked."""

    def __init__(self, most_waiting: int = MOST_WAITING, patience_s: float = PATIENCE_S) -> None:
        self._most, self._patience_s = most_waiting, patience_s
        self._queue: deque[object] = deque()  # the first has the turn
        self._changed = threading.Condition()
        self._what = ""
        self._closed = False

    @contextmanager
    def one(self, what: str, stopped: Stopped) -> Iterator[Stopped]:
        """A turn for `what` ("an evaluation"), which ends with the block. Yields whether to stop.

        Raises QuestionError where too many wait or the turn does not come in time, Left for a visitor who has left.
        """
        ticket = object()
        with self._changed:
            if len(self._queue) > self._most:
                raise self._busy(f"{self._most} questions wait already")
            self._queue.append(ticket)
        try:
            self._wait(ticket, what, stopped)
            yield lambda: self._closed or stopped()
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def close(self) -> None:
        """End the running question, and those that wait, as if their visitors had left."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait(self, ticket: object, what: str, stopped: Stopped) -> None:
        until = time.monotonic() + self._patience_s
        with self._changed:
            while self._queue[0] is not ticket:
                if self._closed or stopped():
                    raise Left
                if time.monotonic() > until:
                    raise self._busy(f"its turn did not come in {self._patience_s:g} s")
                self._changed.wait(_LOOK_S)
            if self._closed:
                raise Left
            self._what = what

    def _busy(self, why: str) -> QuestionError:
        return QuestionError(f"the model is busy with {self._what}: {why}", "Try again in a while.")
