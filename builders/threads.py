"""Work that falls into independent parts, several at once on a CPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

S = TypeVar("S")
T = TypeVar("T")

_LARGEST_HEAP_BLOCK = 31 << 20
"""Bytes; the C library of Linux learns from blocks of up to 32 MiB."""


def threads_of(device: torch.device) -> int:
    """How many parts are worked on at once: on a CPU as many as torch uses threads, on a GPU one."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def in_order(work: Callable[[S], T], parts: Iterable[S], n_threads: int) -> Iterator[T]:
    """work(part) of every part, in order, while the caller does something else; raises what the first to fail raised.

    The threads share those of torch, as a rule one each: the operations on a part are too short to be divided, and
    the sorts cannot be. No more than n_threads results are begun beyond the one that the caller has.
    """
    # That library gives freed memory back to the system, and every page of it costs a fault to get again, unless it
    # has seen a block of such a size come and go.
    np.empty(_LARGEST_HEAP_BLOCK, np.uint8)
    before = torch.get_num_threads()
    begun: deque[Future[T]] = deque()
    try:
        share = max(1, before // n_threads)
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(share,)) as threads:
            for part in parts:
                begun.append(threads.submit(work, part))
                if len(begun) > n_threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
    finally:
        torch.set_num_threads(before)  # the libraries below torch keep one number for all threads


class Aside:
    """Work that the caller need not wait for, one piece after the other, in a thread that stays."""

    def __init__(self, threads: ThreadPoolExecutor, most: int) -> None:
        self._threads, self._most = threads, most
        self._begun: deque[Future[None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Begin it, or wait until all but `most` - 1 pieces before it are done; raises what one of those raised."""
        while len(self._begun) >= self._most:
            self._begun.popleft().result()
        self._begun.append(self._threads.submit(work))

    def wait(self) -> None:
        """Until all is done; raises what the first to fail raised."""
        while self._begun:
            self._begun.popleft().result()


@contextmanager
def aside(device: torch.device, most: int = 3) -> Iterator[Aside | None]:
    """A thread for work beside that of torch on a CPU, `most` pieces of it at once; None where torch has one thread, or
    works elsewhere.

    The piece that is worked on, and those that wait for it, are dropped where the caller fails.
    """
    if threads_of(device) == 1:
        yield None
        return
    before = torch.get_num_threads()
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as threads:
        threads.submit(torch.get_num_threads).result()  # it has begun, and said how many it uses
        torch.set_num_threads(before)  # the libraries below torch keep one number for all threads
        try:
            yield Aside(threads, most)
        finally:
            threads.shutdown(cancel_futures=True)
