"""Parts of a work in threads: in order, bounded, and without traces."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from builders.threads import aside, in_order


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


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


CPU = torch.device("cpu")


@pytest.mark.usefixtures("two_threads")
def test_work_aside_is_done_in_order_by_one_thread_of_torch() -> None:
    done, threads = [], set()

    def work(part: int) -> None:
        threads.add((threading.get_ident(), torch.get_num_threads()))
        done.append(part)

    with aside(CPU) as later:
        assert later is not None and torch.get_num_threads() == 2
        for part in range(20):
            later.do(lambda part=part: work(part))
        later.wait()
        assert done == list(range(20))
    ((thread, number),) = threads
    assert thread != threading.get_ident() and number == 1
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_no_more_work_waits_than_is_said() -> None:
    go, begun = threading.Event(), []
    with aside(CPU, most=2) as later:
        later.do(go.wait)
        later.do(lambda: None)
        threading.Timer(0.05, lambda: (begun.append("the first has ended"), go.set())).start()
        later.do(lambda: None)
        assert begun == ["the first has ended"]
        later.wait()


@pytest.mark.usefixtures("two_threads")
def test_what_fails_aside_is_raised_and_what_waits_is_dropped() -> None:
    def fails() -> None:
        raise ValueError("aside")

    with pytest.raises(ValueError, match="aside"), aside(CPU) as later:
        later.do(fails)
        later.wait()
    done: list[int] = []
    go = threading.Event()
    with pytest.raises(KeyError), aside(CPU) as later:
        later.do(go.wait)
        later.do(lambda: done.append(1))
        threading.Timer(0.05, go.set).start()
        raise KeyError
    assert done == []


def test_with_one_thread_or_elsewhere_nothing_is_aside() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with aside(CPU) as later:
            assert later is None
        torch.set_num_threads(2)
        with aside(torch.device("cuda")) as later:
            assert later is None
    finally:
        torch.set_num_threads(before)
