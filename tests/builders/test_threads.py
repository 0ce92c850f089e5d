"""Parts of a work in threads: in order, bounded, and without traces."""

from __future__ import annotations

import threading

import pytest
import torch

from builders.threads import AbandonedError, go_on, in_order


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_results_come_in_order(n_threads: int) -> None:
    assert list(in_order(lambda part: part * part, range(20), n_threads)) == [part * part for part in range(20)]
    assert list(in_order(lambda part: part, [], n_threads)) == []


def test_every_thread_works_alone_and_the_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    assert set(in_order(lambda _: torch.get_num_threads(), range(6), 3)) == {1}
    assert torch.get_num_threads() == before


def test_the_first_failure_is_raised() -> None:
    def work(part: int) -> int:
        if part in (3, 4):
            raise ValueError(part)
        return part

    got = []
    with pytest.raises(ValueError, match="3"):
        for result in in_order(work, range(9), 2):
            got.append(result)
    assert got == [0, 1, 2]


def test_a_slow_caller_is_waited_for() -> None:
    begun, lock = [], threading.Lock()

    def work(part: int) -> int:
        with lock:
            begun.append(part)
        return part

    for result in in_order(work, range(50), 2):
        assert len(begun) <= result + 3  # what the caller has, and one for each thread


def test_those_at_work_may_stop_when_the_caller_has_left() -> None:
    begun, ended, abandoned = threading.Event(), [], []

    def work(part: int) -> int:
        if part == 0:
            begun.wait()
            raise ValueError(part)
        begun.set()
        try:
            while True:  # for ever, if nobody says that it is in vain
                go_on()
        except AbandonedError:
            abandoned.append(part)
            raise
        finally:
            ended.append(part)

    with pytest.raises(ValueError, match="0"):
        list(in_order(work, range(9), 2))
    assert abandoned == ended and set(ended) <= {1, 2}
    go_on()  # nothing in a thread of nobody
