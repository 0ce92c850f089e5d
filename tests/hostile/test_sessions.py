"""Sessions under load: many threads in little memory, closing at any moment, nothing left after hundreds of them."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from atlas.errors import AtlasError, QuestionError
from atlas.store.reader import open_atlas
from queries.neurons import neurons_for_token
from queries.sandbox.sandbox import run_sql
from queries.session.session import Session, open_session, session_of
from tests.atlas_factory import write_small_atlas
from tests.hostile.counts import count, generator
from tests.hostile.test_threads import THREADS, ask, in_threads

FILES, PROCESSES = Path("/proc/self/fd"), Path("/proc/self/task")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("sessions") / "small.duckdb")


def children() -> set[str]:
    """The processes that this one has started and that are there."""
    found: set[str] = set()
    for task in PROCESSES.iterdir():
        try:
            found |= set((task / "children").read_text().split())
        except OSError:  # a thread that has ended meanwhile
            continue
    return found


@pytest.mark.parametrize("memory", [0, 5_000, 40_000])
def test_little_memory_among_threads_changes_no_answer(path: Path, memory: int) -> None:
    each = count(12, 400)
    seeds = [[generator(f"sessions/{memory}/{thread}/{i}").random() for i in range(each)] for thread in range(THREADS)]
    with open_atlas(path) as atlas:
        expected = [[ask(atlas, random.Random(seed)) for seed in row] for row in seeds]
    wrong, most = [], []
    with open_atlas(path) as atlas:
        session = Session(atlas, memory)

        def work(number: int) -> None:
            for i, seed in enumerate(seeds[number]):
                if ask(atlas, random.Random(seed)) != expected[number][i]:
                    wrong.append((number, i))
                most.append(session.nbytes)
                if i % 7 == number % 7:
                    session.clear()

        assert in_threads(work) == []
    assert wrong == [] and max(most) <= memory and session.nbytes == 0


def test_statements_of_many_threads_are_each_answered_by_their_own_process(path: Path) -> None:
    with open_session(path) as session:

        def work(number: int) -> None:
            for i in range(count(2, 20)):
                found = run_sql(session, "SELECT $a, $b", parameters={"a": number, "b": i}, timeout_s=120)
                assert found.rows == [(number, i)]

        assert in_threads(work) == []


def test_closing_at_any_moment_is_a_question_error_at_most(path: Path) -> None:
    for turn in range(count(10, 200)):
        numbers = generator(f"sessions/close/{turn}")
        atlas = open_atlas(path)
        session, pause = Session(atlas, numbers.choice([0, 10_000, 10**8])), numbers.uniform(0, 0.05)

        def work(number: int, atlas=atlas, pause=pause) -> None:
            own = random.Random(number)
            if number == 0:
                time.sleep(pause)
                atlas.close()
                return
            try:
                while True:
                    ask(atlas, own)
            except QuestionError:
                return

        assert in_threads(work) == []
        assert (session.nbytes, session.kept()) == (0, [])
        assert session_of(atlas) is session


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_hundreds_of_sessions_leave_no_file_process_or_thread(path: Path) -> None:
    def one(number: int) -> None:
        with open_session(path, 10**6) as session:
            neurons_for_token(session, "dog")
            if number % 20 == 0:
                assert run_sql(session, "SELECT 1", timeout_s=60).rows == [(1,)]
            elif number % 20 == 10:
                session.prepare_sql()  # and closed while it starts

    one(0)
    before = len(list(FILES.iterdir())), children(), threading.active_count()
    for number in range(count(40, 200)):
        one(number)
    after = len(list(FILES.iterdir())), children(), threading.active_count()
    assert after == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_process_at_any_moment_costs_its_own_statement_at_most(path: Path) -> None:
    with open_session(path) as session:
        for turn in range(count(8, 100)):
            numbers = generator(f"sessions/kill/{turn}")
            delay = numbers.uniform(0, 0.3)

            def kill(delay: float = delay) -> None:
                time.sleep(delay)
                for pid in children():
                    if b"queries.sandbox.child" in command_of(pid):
                        os.kill(int(pid), 9)

            killer = threading.Thread(target=kill)
            killer.start()
            try:
                assert run_sql(session, "SELECT $n", parameters={"n": turn}, timeout_s=60).rows == [(turn,)]
            except AtlasError:
                pass
            killer.join()
        with suppress(AtlasError):  # its process may be dying right now
            run_sql(session, "SELECT 1", timeout_s=60)
        assert run_sql(session, "SELECT 1", timeout_s=60).rows == [(1,)]


def command_of(pid: str) -> bytes:
    """The command line of a process, b"" of one that has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
