"""Progress of long steps, on stderr and only when it is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atlas.printable import printable


class Silent:
    """The progress of a library call: none."""

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields `advance(units)`."""
        yield lambda units: None


class Bars(Silent):
    """A bar with the time left per step."""

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields `advance(units)`."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as TimeLeft

        columns = (TextColumn("{task.description:<34}", markup=False), BarColumn(), TaskProgressColumn())
        with Progress(*columns, TimeLeft(), TimeElapsedColumn(), console=Console(stderr=True)) as progress:
            bar = progress.add_task(printable(label), total=total)
            yield lambda units: progress.advance(bar, units)


def for_terminal() -> Silent:
    """Bars on a terminal, silence elsewhere."""
    return Bars() if sys.stderr.isatty() else Silent()
