"""The connections of an atlas stay within their bound, closing ends what runs, and a fork gets none of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from atlas.errors import QuestionError
from atlas.store import connections
from atlas.store.reader import open_atlas
from tests.atlas.test_time_limit import FOR_EVER
from tests.atlas_factory import write_small_atlas

HANG_S = 60.0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("kept") / "small.duckdb")


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
        assert len(atlas._connections._idle) <= connections.MOST
        assert len(atlas._connections._lent) == 0
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_is_refused_and_harms_nothing(path: Path) -> None:
    with open_atlas(path) as atlas:
        due = atlas.query("SELECT count(*) FROM vocab")
        child = os.fork()
        if child == 0:  # exits without a word to pytest
            code = 1
            try:
                atlas.query("SELECT count(*) FROM vocab")
            except QuestionError as error:
                code = 0 if "another process" in error.message else 2
            atlas.close()
            os._exit(code)
        assert ended(child, HANG_S) == 0
        assert atlas.query("SELECT count(*) FROM vocab") == due


def ended(child: int, within_s: float) -> int | None:
    """The exit code of a process; None when it hangs, and then it is killed."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
