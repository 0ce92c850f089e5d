"""Times of several ways to do one thing, taken in turn, so that only their ratios need to be believed.

Every round runs each way once, in an order that rotates: a machine that gets slower or faster in between does so
for all of them. The first rounds warm up and are not counted.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""cpu: of all threads of the process, where others work too."""


@dataclass(frozen=True)
class Timings:
    """Seconds of each way in each counted round, [rounds]."""

    seconds: dict[str, np.ndarray]

    def median(self, way: str) -> float:
        """Median seconds."""
        return float(np.median(self.seconds[way]))

    def percentile(self, way: str, percent: float) -> float:
        """Seconds that `percent` per cent of the rounds stay within."""
        return float(np.percentile(self.seconds[way], percent))

    def ratio(self, way: str, base: str) -> float:
        """How many times as long as `base`: the median over rounds of the ratio within a round."""
        return float(np.median(self.seconds[way] / self.seconds[base]))


def interleave(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    device: str = "cpu",
) -> Timings:
    """Run each way `warm + rounds` times in turn. `clock` may be time.process_time on a busy machine.

    On a GPU (`device` "cuda") the clock is read when the device has finished.
    """
    names = list(ways)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(warm + rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            taken[name].append(seconds_of(ways[name], clock, device))
    return Timings({name: np.array(values[warm:]) for name, values in taken.items()})


def seconds_of(
    call: Callable[[], object], clock: Callable[[], float] = time.perf_counter, device: str = "cpu"
) -> float:
    """Seconds that one call takes, including what it left running on a GPU."""
    _finish(device)
    start = clock()
    call()
    _finish(device)
    return clock() - start


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def environment(**more: str) -> dict[str, str]:
    """That of a process that is measured: Python keeps what it compiles, as it does unless told not to."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | more


def machine(device: str = "cpu", packages: tuple[str, ...] = ("torch", "duckdb", "numpy")) -> str:
    """Processor (and GPU), cores, load now, and versions, in one line."""
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    parts = [_processor(), f"{os.cpu_count()} cores", f"load {os.getloadavg()[0]:.1f}"]
    if device.startswith("cuda"):
        import torch

        parts.insert(0, torch.cuda.get_device_name())
    return ", ".join([*parts, f"Python {platform.python_version()}", *versions])


def _processor() -> str:
    """The model name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
