"""Work that falls into independent parts, several at once on a CPU."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

_own = threading.local()
S = TypeVar("S")
T = TypeVar("T")

_LARGEST_HEAP_BLOCK = 31 << 20
"""Bytes; the C library of Linux learns from blocks of up to 32 MiB."""


class AbandonedError(Exception):
    """Nobody waits for the result any more."""


def go_on() -> None:
    """Raise AbandonedError in a thread of `in_order` whose caller has left: what takes long asks between its steps."""
    left: threading.Event | None = getattr(_own, "left", None)
    if left is not None and left.is_set():
        raise AbandonedError


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
    left = threading.Event()

    def begin() -> None:
        torch.set_num_threads(max(1, before // n_threads))
        _own.left = left

    try:
        with ThreadPoolExecutor(n_threads, initializer=begin) as threads:
            try:
                for part in parts:
                    begun.append(threads.submit(work, part))
                    if len(begun) > n_threads:
                        yield begun.popleft().result()
                while begun:
                    yield begun.popleft().result()
            finally:
                left.set()
                for each in begun:  # those that have not begun yet; the pool waits for the others
                    each.cancel()
    finally:
        torch.set_num_threads(before)  # the libraries below torch keep one number for all threads
