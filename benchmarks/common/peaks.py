"""The measured limits of a machine: what the floors of the other benchmarks are divided by. Run to print them.

A floor is operations over the rate of arithmetic, or bytes over that of reading. Rates are measured and not taken
from a data sheet, for a shared machine gives what it gives.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.common.measure import machine, seconds_of

_SIDE = {"cpu": 2048, "cuda": 8192}
_READ_BYTES = {"cpu": 1 << 28, "cuda": 1 << 31}
_DISK_BYTES = 1 << 29


@dataclass(frozen=True)
class Peaks:
    """Best of several tries, so noise of the machine can only make them too low."""

    bf16_flops: float
    f32_flops: float
    """Operations per second of a square matrix product; a multiply-add is two."""
    read_bytes: float
    """Bytes per second of summing an array much larger than the caches."""
    disk_write_bytes: float
    """Bytes per second of writing a new file and having it on the disk (fsync)."""


def peaks(device: str = "cpu", folder: Path | None = None, tries: int = 5) -> Peaks:
    """Measure them. The file of the disk test goes to `folder` (default: the system's temporary folder).

    Takes a few seconds and 1 GB of memory on a processor.
    """
    return Peaks(
        product_rate(device, torch.bfloat16, tries),
        product_rate(device, torch.float32, tries),
        _read_rate(device, tries),
        _write_rate(folder or Path(tempfile.gettempdir())),
    )


def product_rate(device: str, dtype: torch.dtype, tries: int = 5) -> float:
    """Operations per second of a square matrix product in `dtype`, the best of 1 + `tries`."""
    side = _SIDE[device]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    best = min(seconds_of(lambda: torch.mm(left, right, out=out), device=device) for _ in range(1 + tries))
    return 2 * side**3 / best


def _read_rate(device: str, tries: int) -> float:
    # Eight bytes an element, so that adding is no limit; the maximum of integers needs no order of summation.
    values = torch.ones(_READ_BYTES[device] // 8, dtype=torch.int64, device=device)
    best = min(seconds_of(lambda: values.max(), device=device) for _ in range(1 + tries))
    return values.nbytes / best


def _write_rate(folder: Path) -> float:
    block = os.urandom(1 << 24)

    def write() -> None:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(_DISK_BYTES // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    return _DISK_BYTES / min(seconds_of(write) for _ in range(2))


def main() -> None:
    sys.stdout.write(f"{machine()}\n{peaks()}\n")


if __name__ == "__main__":
    main()
