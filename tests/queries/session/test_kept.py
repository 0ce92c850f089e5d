"""What questions keep in memory stays within its bound, is read once, and is counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from queries.session.kept import Item, Kept

HANG_S = 60.0


@dataclass(frozen=True)
class Block:
    nbytes: int


def test_the_longest_unasked_goes_first() -> None:
    kept = Kept(limit=100)
    for name in "abc":
        kept.put(name, Block(30))
    assert kept.get("a") == Block(30)
    kept.put("d", Block(40))
    assert (kept.keys(), kept.nbytes) == (["c", "a", "d"], 100)
    assert kept.get("b") is None


def test_what_is_larger_than_the_bound_is_answered_and_not_kept() -> None:
    kept = Kept(limit=100)
    kept.put("a", Block(60))
    assert kept.read("b", lambda: Block(101)) == Block(101)
    assert (kept.keys(), kept.nbytes) == (["a"], 60)
    kept.put("a", Block(101))
    assert (kept.keys(), kept.nbytes) == ([], 0)


def test_the_bound_holds_among_threads_and_each_is_read_once() -> None:
    kept, read = Kept(limit=8 * 50), []

    def ask(number: int) -> None:
        for i in range(200):
            key = (number + i) % 8
            assert kept.read(key, lambda key=key: read.append(key) or Block(50)) == Block(50)
            assert kept.nbytes <= kept.limit

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
    assert sorted(read) == list(range(8))


def test_what_made_room_has_to_be_asked_for_as_often_again() -> None:
    kept = Kept(limit=100)
    assert [kept.read_if_often("a", lambda: Block(60), 2) for _ in range(3)] == [None, None, Block(60)]
    kept.put("b", Block(60))
    assert [kept.read_if_often("a", lambda: Block(60), 2) for _ in range(3)] == [None, None, Block(60)]
    assert kept.keys() == ["a"]


def test_what_is_larger_than_the_bound_is_not_read_again_and_again() -> None:
    kept, read = Kept(limit=100), []

    def large() -> Block:
        read.append(1)
        return Block(101)

    found = [kept.read_if_often("a", large, 1) for _ in range(9)]
    assert found == [None, Block(101), *[None] * 7] and len(read) == 1


def test_hits_and_misses_are_counted() -> None:
    kept = Kept(limit=100)
    for _ in range(5):
        kept.read_if_often(("ranking", 3), lambda: Block(10), 2)
    (item,) = kept.items()
    assert item == Item("ranking 3", 10, hits=2, misses=3, seconds=item.seconds) and item.seconds >= 0
    kept.clear()
    assert (kept.items(), kept.nbytes) == ([], 0)


def test_nothing_is_kept_after_closing_even_if_it_was_being_read() -> None:
    kept, reading, closed = Kept(limit=100), threading.Event(), threading.Event()

    def slowly() -> Block:
        reading.set()
        assert closed.wait(HANG_S)
        return Block(10)

    asker = threading.Thread(target=kept.read, args=("a", slowly))
    asker.start()
    assert reading.wait(HANG_S)
    kept.close()
    closed.set()
    asker.join(HANG_S)
    assert (kept.keys(), kept.nbytes) == ([], 0)


def test_a_reading_that_fails_keeps_no_other_from_trying() -> None:
    kept = Kept(limit=100)

    def fails() -> Block:
        raise OSError

    for _ in range(2):
        try:
            kept.read("a", fails)
        except OSError:
            continue
        raise AssertionError("it did not fail")
    assert kept.read("a", lambda: Block(1)) == Block(1)
