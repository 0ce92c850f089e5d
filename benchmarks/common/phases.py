"""What the phases of a build take, and what memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builders.progress import Silent


class Phases(Silent):
    """Seconds of each phase of a build by its label, the device's work in it included."""

    def __init__(self, device: str = "cpu", clock: Callable[[], float] = time.perf_counter) -> None:
        self.device, self.clock, self.seconds = device, clock, dict[str, float]()

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields `advance(units)`, which does nothing."""
        start = self.clock()
        yield lambda units: None
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize()
        self.seconds[label] = self.seconds.get(label, 0.0) + self.clock() - start


def memory_added(way: Callable[[], object]) -> float:
    """MB of memory that `way` adds at its peak, where the system can tell; else NaN."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
    except OSError:
        way()
        return float("nan")
    way()
    return _status("VmHWM") - before


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(field))
