"""An answer from one process of this machine to another: large ones go through a file, which the other one maps.

A pipe hands over a few ten thousand bytes at a time, between two processes that wait for each other: of the 300 MB that
a shard of running text can note this takes seconds, in which the worker computes nothing.
"""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL = 1 << 20
"""Bytes up to which an answer goes through the pipe."""
_ALIGNED = 64
"""What Arrow wants its buffers to begin at a multiple of."""


@dataclass(frozen=True)
class Handed:
    """A pickled object without its buffers, and where these are: (start, end) in the file of each."""

    head: bytes
    path: Path
    places: tuple[tuple[int, int], ...]

    def taken(self) -> Any:
        """The object, once: the file has no name any more, and goes with the last buffer. Raises OSError."""
        with self.path.open("rb") as file:
            self.path.unlink()
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return pickle.loads(self.head, buffers=[whole[start:end] for start, end in self.places])


def handed(answer: object, folder: Path) -> object:
    """The answer, or what it is taken from if it is large. Raises OSError where the file cannot be written."""
    buffers: list[memoryview] = []
    head = pickle.dumps(answer, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw()))
    if sum(buffer.nbytes for buffer in buffers) <= SMALL:
        return answer
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_prefix(os.getpid()), dir=folder)
    places = []
    try:
        with open(descriptor, "wb") as file:
            for buffer in buffers:
                file.write(bytes(-file.tell() % _ALIGNED))
                places.append((file.tell(), file.tell() + buffer.nbytes))
                file.write(buffer)
    except BaseException:
        os.unlink(name)
        raise
    return Handed(head, Path(name), tuple(places))


def forget(folder: Path, pid: int) -> None:
    """Remove the files of a process that has ended, which nobody will take."""
    for path in folder.glob(f"{_prefix(pid)}*"):
        path.unlink(missing_ok=True)


def _prefix(pid: int) -> str:
    return f".answer-{pid}-"  # no corpus is called so, each of which has a folder beside it
