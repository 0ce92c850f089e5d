"""Progress of long steps, on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from atlas.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

INTERVAL = 30.0
"""Seconds between two lines of a step where there is no terminal: a log shows that the work goes on."""


_WIDEST = 60
"""Characters of what a worker does."""


class Silent:
    """The progress of a library call: none."""

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields `advance(units)`."""
        yield lambda units: None

    def event(self, text: str) -> None:
        """Something has happened that a log should have: a line of its own where there is no terminal."""

    def now(self, worker: int, text: str) -> None:
        """What a worker, numbered from 1 on, is doing now; '' where nothing: shown on a terminal."""


class Bars(Silent):
    """A bar with the time left per step, and below it what each worker does."""

    def __init__(self) -> None:
        self._now: dict[int, str] = {}
        self._shown: Progress | None = None
        self._rows: dict[int, TaskID] = {}

    def event(self, text: str) -> None:
        """Only what ends work that was begun; the bars say the rest."""
        if self._shown is not None and ("failed" in text or "started again" in text):
            self._shown.console.print(printable(text), markup=False, highlight=False)

    def now(self, worker: int, text: str) -> None:
        """A row for each worker."""
        self._now[worker] = text
        if self._shown is not None:
            said = printable(f"  worker {worker}: {text}")[:_WIDEST]
            if worker in self._rows:
                self._shown.update(self._rows[worker], description=said)
            else:
                self._rows[worker] = self._shown.add_task(said, total=None)

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields `advance(units)`."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as TimeLeft

        columns = (TextColumn("{task.description:<34}", markup=False), BarColumn(), TaskProgressColumn())
        with Progress(*columns, TimeLeft(), TimeElapsedColumn(), console=Console(stderr=True)) as progress:
            bar = progress.add_task(printable(label), total=total)
            self._shown, self._rows = progress, {}
            try:
                yield lambda units: progress.advance(bar, units)
            finally:
                self._shown = None


class Lines(Silent):
    """A line when a step begins and every INTERVAL until it ends, from a thread: one unit may take much longer.

    `clock` gives seconds; `pause(done, seconds)` waits for the next line, and is true when the step has ended.
    """

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        # Kept, as sys.stderr is another one while a library is silenced.
        self._stream, self._clock, self._pause = stream, clock, pause

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields `advance(units)`."""
        finished, done, start = 0, threading.Event(), self._clock()

        def advance(units: int) -> None:
            nonlocal finished
            finished += units

        def report() -> None:
            while not self._pause(done, INTERVAL):
                # A step of a single unit, such as publishing, has no share that would tell anything.
                share = f"{100 * finished // total}%, " if total > 1 else ""
                self._write(f"{label}: {share}{_duration(self._clock() - start)}")

        self._write(label)
        thread = threading.Thread(target=report, name="progress", daemon=True)
        thread.start()
        try:
            yield advance
        finally:
            done.set()
            thread.join()

    def event(self, text: str) -> None:
        """A line."""
        self._write(text)

    def _write(self, text: str) -> None:
        # A log that is gone or full is no reason to end a build, and a thread's error would be a traceback.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"progress: {printable(text)}\n")
            self._stream.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def for_terminal() -> Silent:
    """Bars on a terminal, a line now and then elsewhere."""
    return Bars() if sys.stderr.isatty() else Lines(sys.stderr)
