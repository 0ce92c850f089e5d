"""Workers, whatever they run in: who makes which task, and what is done when one ends or fails.

Answers come as they are ready; the caller keeps the rows while the workers go on. A task that fails, or whose worker
ends, goes back to the front; a worker that ends is started anew.
"""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from atlas.errors import BuildError
from builders.progress import Silent
from builders.workers.task import Answer, Failure, Setup, Task

TRIES = 3
"""How often a task that fails is tried."""
DEATHS = 10
"""How many workers may end in a task, or before they are ready, until it is given up."""
_AHEAD = 2
"""Tasks that a worker has: it begins the next one while the host keeps the rows of the last."""

READY, UNABLE, DONE, FAILED, ENDED = "ready", "unable", "done", "failed", "ended"
Event = tuple[int, int, str, Any]
"""Worker, which start of it, what, and with what: of DONE and FAILED (its Answer or error), of others a text."""


class Worker(ABC):
    """One process or actor. Events of it go into the queue that it was started with, from a thread of its own."""

    @abstractmethod
    def send(self, message: tuple[Any, ...]) -> None:
        """("tell", topic, value), ("run", task) or ("run", task, beside): done in the order in which they come."""

    @abstractmethod
    def end(self) -> None:
        """End it now, whatever it does, and wait until it has."""


Start = Callable[[int, Setup, Callable[[str, Any], None]], Worker]
"""(number, setup, put an event) -> a worker that is being started."""
Beside = Callable[[Task], object]


@dataclass
class _Seat:
    """The place of a worker: who has it now."""

    worker: Worker
    start: int = 0
    ready: bool = False
    told: int = 0
    tasks: deque[Task] = field(default_factory=deque)


class Pool:
    """A context manager: leaving it ends all workers. They begin with the first task."""

    def __init__(self, n_workers: int, start: Start, setups: Sequence[Setup], progress: Silent) -> None:
        self.n_workers, self._start, self._setups, self._progress = n_workers, start, list(setups), progress
        self._events: queue.Queue[Event] = queue.Queue()
        self._told: list[tuple[Any, Any]] = []
        self._seats: list[_Seat] = []
        self._waiting: deque[Task] = deque()
        self._failures: Counter[Task] = Counter()
        self._deaths: Counter[Task] = Counter()
        self._unready = 0

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End all workers."""
        for seat in self._seats:
            seat.worker.end()
        self._seats.clear()

    def tell(self, topic: object, value: Any) -> None:
        """What each worker is to know before the next task, also those that are started later."""
        self._told.append((topic, value))

    def compute(
        self, tasks: Sequence[Task], beside: Beside | None = None
    ) -> Iterator[tuple[Task, Answer | Failure, int]]:
        """Every task with its answer, or why it was given up, as they are ready, and the number of the process.

        `beside`: what a worker is sent with a task; asked whenever the task is, so that nothing waits in memory.
        Raises BuildError where workers cannot be started.
        """
        if tasks and not self._seats:
            for index in range(self.n_workers):
                self._seats.append(_Seat(self._begin(index, 0)))
        self._waiting.extend(tasks)
        missing = len(tasks)
        self._deal(beside)
        while missing:
            found = self._event(*self._events.get())
            self._deal(beside)  # before the caller keeps the rows: the worker has nothing to do meanwhile
            if found is not None:
                missing -= 1
                yield found

    def _deal(self, beside: Beside | None) -> None:
        """Give waiting tasks to workers; a second one only where there are enough for all."""
        for ahead in range(1, _AHEAD + 1):
            for seat in self._seats:
                if ahead > 1 and len(self._waiting) <= self.n_workers:
                    return
                if seat.ready and self._waiting and len(seat.tasks) < ahead:
                    for topic, value in self._told[seat.told :]:
                        seat.worker.send(("tell", topic, value))
                    seat.told = len(self._told)
                    task = self._waiting.popleft()
                    seat.tasks.append(task)
                    seat.worker.send(("run", task) if beside is None else ("run", task, beside(task)))
                    self._show(seat)

    def _event(self, index: int, start: int, what: str, value: Any) -> tuple[Task, Answer | Failure, int] | None:
        seat, name = self._seats[index], f"worker {index + 1}"
        if start != seat.start:
            return None  # of one that has ended
        if what == READY:
            seat.ready, self._unready = True, 0
            self._progress.event(f"{name}: ready")
            return None
        if what == UNABLE:
            raise BuildError(f"{name} cannot work: {value}", "What was made is kept: --resume goes on.")
        if what == ENDED:
            return self._ended(index, seat, value)
        task = seat.tasks.popleft()
        self._show(seat)
        if what == DONE:
            self._progress.event(f"{name}: {task.name}, {value.seconds:.1f} s")
            return task, value, index + start * self.n_workers
        self._failures[task] += 1
        return self._again(name, task, value, given_up=self._failures[task] >= TRIES)

    def _again(self, name: str, task: Task, error: str, *, given_up: bool) -> tuple[Task, Failure, int] | None:
        self._progress.event(f"{name}: {task.name} {'failed' if given_up else 'failed and is tried again'}: {error}")
        if given_up:
            return task, Failure(error), 0
        self._waiting.appendleft(task)
        return None

    def _ended(self, index: int, seat: _Seat, reason: str) -> tuple[Task, Failure, int] | None:
        """A worker is gone: another is started, which does what that one had to do."""
        tasks, was_ready = list(seat.tasks), seat.ready
        self._unready += not was_ready
        if self._unready >= DEATHS:
            raise BuildError(f"workers end before they are ready ({reason})", "See whether there is enough memory.")
        seat.worker.end()
        self._progress.event(f"worker {index + 1}: {reason}, started again")
        self._seats[index] = _Seat(self._begin(index, seat.start + 1), seat.start + 1)
        self._waiting.extendleft(reversed(tasks[1:]))
        if not tasks:
            return None
        self._deaths[tasks[0]] += 1
        if self._deaths[tasks[0]] >= DEATHS:
            return self._again(f"worker {index + 1}", tasks[0], f"its worker {reason}, each time", given_up=True)
        self._waiting.appendleft(tasks[0])
        return None

    def _begin(self, index: int, start: int) -> Worker:
        def put(what: str, value: Any) -> None:
            self._events.put((index, start, what, value))

        return self._start(index, self._setups[index], put)

    def _show(self, seat: _Seat) -> None:
        self._progress.now(self._seats.index(seat) + 1, seat.tasks[0].name if seat.tasks else "")
