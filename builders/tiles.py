"""Work that falls into independent tiles, several at once on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def map_tiles(work: Callable[[int], T], starts: Iterable[int], device: torch.device, at_once: int) -> list[T]:
    """work(start) of every tile, in order; raises what the first of them to fail raised.

    On a CPU as many threads as torch uses, at most `at_once`, take a tile each and run it single-threaded: the
    operations on a tile are too short to be divided, and the sorts cannot be. A GPU gets one tile after another.
    """
    n_threads = torch.get_num_threads()
    if device.type != "cpu" or min(n_threads, at_once) == 1:
        return [work(start) for start in starts]
    try:
        with ThreadPoolExecutor(min(n_threads, at_once), initializer=torch.set_num_threads, initargs=(1,)) as threads:
            return list(threads.map(work, starts))
    finally:
        torch.set_num_threads(n_threads)  # the libraries below torch keep one number for all threads
