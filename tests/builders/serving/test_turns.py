"""The queue before a model: order, its bound, who leaves, and the end of the server."""

from __future__ import annotations

import threading

import pytest

from atlas.errors import QuestionError
from builders.serving.turns import Left, Turns

HANG_S = 20


def never() -> bool:
    return False


class Visitor(threading.Thread):
    """Asks for a turn, and keeps it until told to go."""

    def __init__(self, turns: Turns, stopped=never) -> None:
        super().__init__(daemon=True)
        self.turns, self.stopped = turns, stopped
        self.has_turn, self.may_go = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with self.turns.one("a text", self.stopped):
                self.has_turn.set()
                assert self.may_go.wait(HANG_S)
        except Exception as error:
            self.error = error

    def go(self) -> None:
        self.may_go.set()
        self.join(HANG_S)
        assert not self.is_alive()


def waiting(turns: Turns, count: int) -> None:
    for _ in range(HANG_S * 100):
        if len(turns._queue) == count:
            return
        threading.Event().wait(0.01)
    raise AssertionError("they never queued")


def test_one_at_a_time_in_order():
    turns = Turns()
    visitors = []
    for number in range(3):
        visitors.append(Visitor(turns))
        visitors[-1].start()
        waiting(turns, number + 1)
    for number, visitor in enumerate(visitors):
        assert visitor.has_turn.wait(HANG_S)
        assert not any(later.has_turn.is_set() for later in visitors[number + 1 :])
        visitor.go()
    assert all(visitor.error is None for visitor in visitors)


def test_a_full_queue_and_a_long_wait_are_refused_in_a_line():
    turns = Turns(most_waiting=1, patience_s=0.2)
    first = Visitor(turns)
    first.start()
    assert first.has_turn.wait(HANG_S)
    second = Visitor(turns)
    second.start()
    waiting(turns, 2)
    with pytest.raises(QuestionError, match="busy with a text: 1 questions wait already"), turns.one("a text", never):
        pass
    second.join(HANG_S)
    assert "its turn did not come" in str(second.error)
    first.go()
    with turns.one("a text", never):  # nobody left anything behind
        pass


def test_who_leaves_gives_up_the_place():
    turns, gone = Turns(), threading.Event()
    first, second, third = Visitor(turns), Visitor(turns, gone.is_set), Visitor(turns)
    for number, visitor in enumerate((first, second, third)):
        visitor.start()
        waiting(turns, number + 1)
    gone.set()
    second.join(HANG_S)
    assert isinstance(second.error, Left) and not second.has_turn.is_set()
    first.go()
    assert third.has_turn.wait(HANG_S)
    third.go()


def test_the_end_of_the_server_ends_what_runs_and_what_waits():
    turns = Turns()
    waits = Visitor(turns)
    with turns.one("a text", never) as ended:
        assert not ended()
        waits.start()
        waiting(turns, 2)
        turns.close()
        assert ended()
        waits.join(HANG_S)
    assert isinstance(waits.error, Left)
    with pytest.raises(Left), turns.one("a text", never):
        pass
