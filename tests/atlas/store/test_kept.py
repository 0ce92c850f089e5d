"""What questions keep in memory stays within its bound; sessions within theirs, and closing ends what runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from atlas.errors import QuestionError
from atlas.store import sessions
from atlas.store.kept import Kept
from atlas.store.reader import open_atlas
from tests.atlas.test_time_limit import FOR_EVER
from tests.atlas_factory import write_small_atlas

HANG_S = 60.0


@dataclass(frozen=True)
class Block:
    nbytes: int


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("kept") / "small.duckdb")


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


def test_a_thousand_short_threads_leave_nothing_behind(path: Path) -> None:
    found = []
    with open_atlas(path) as atlas:
        for first in range(0, 1000, 40):
            threads = [
                threading.Thread(target=lambda n=n: found.append(atlas.query(f"SELECT {n}")[1] == [(n,)]))
                for n in range(first, first + 40)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(HANG_S)
        assert len(atlas._sessions._idle) <= sessions.MOST
        assert len(atlas._sessions._lent) == 0
    assert found == [True] * 1000


def test_closing_ends_the_questions_that_run(path: Path) -> None:
    atlas, ended = open_atlas(path, 0), []

    def ask() -> None:
        try:
            atlas.query(FOR_EVER)
        except QuestionError:
            ended.append(True)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    threads[0].join(0.5)
    atlas.close()
    for thread in threads:
        thread.join(HANG_S)
        assert not thread.is_alive()
    assert ended == [True] * 4
    with pytest.raises(QuestionError, match="closed"):
        atlas.query("SELECT 1")
