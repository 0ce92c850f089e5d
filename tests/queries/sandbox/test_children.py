"""The process that waits for the next statement: asked once, fenced as any other, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.errors import QuestionError
from atlas.store.reader import open_atlas
from queries.sandbox import children
from queries.sandbox.sandbox import MIN_MEMORY_MB, run_sql
from queries.session.session import Session, open_session, session_of
from tests.amount import count, some
from tests.atlas_factory import write_small_atlas

HANG_S = 60.0
ENDLESS = "SELECT count(*) FROM range(100000000) a, range(100000000) b"
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def session(atlas_file: Path) -> Iterator[Session]:
    with open_session(atlas_file) as session:
        yield session


def test_an_answer_stands_though_its_process_is_slow_to_end(session: Session, monkeypatch) -> None:
    monkeypatch.setattr(children, "_END_S", 0.0)  # no process has ended by then
    assert run_sql(session.atlas, "SELECT 42 AS x").rows == [(42,)]
    with pytest.raises(QuestionError, match="refused"):
        run_sql(session.atlas, "COPY vocab TO 'x.csv'")


def waiting(session: Session) -> children.Child:
    """The child that waits, once there is one."""
    deadline = time.monotonic() + HANG_S
    while not session.processes._waiting:
        assert time.monotonic() < deadline, "no process waits"
        time.sleep(0.01)
    return session.processes._waiting[0]


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + HANG_S
    while is_running(pid):
        assert time.monotonic() < deadline, "the process lives on"
        time.sleep(0.02)


@linux
def test_each_statement_has_a_process_of_its_own_which_ends_with_it(session: Session) -> None:
    pids = []
    for number in range(count(2, 4)):
        session.prepare_sql()
        child = waiting(session)
        pids.append(child.process.pid)
        assert run_sql(session, "SELECT $1", parameters=[number]).rows == [(number,)]
        assert not is_running(pids[-1])
    assert len(set(pids)) == len(pids)


def test_nothing_is_started_for_a_session_that_asks_no_sql(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(children, "Child", lambda *options: started.append(options))
    assert session.atlas.query("SELECT 1")[1] == [(1,)]
    assert session._children is None
    assert session.processes._nursery is None and not started


def test_what_a_statement_leaves_the_next_one_does_not_find(session: Session) -> None:
    for _ in range(count(2, 3)):
        assert run_sql(session, "SELECT count(*) FROM duckdb_prepared_statements()").rows == [(0,)]
        with pytest.raises(QuestionError, match="refused"):
            run_sql(session, "CREATE TEMP TABLE mine AS SELECT 1")
        with pytest.raises(QuestionError):
            run_sql(session, "FROM mine")
        waiting(session)


FENCED = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "FROM '/etc/passwd'",
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT 1; SELECT 2",
    "SET threads = 8",
    "PRAGMA enable_external_access = true",
    "INSTALL httpfs",
    "ATTACH '/tmp/x.duckdb'",
    "COPY vocab TO '/tmp/x.csv'",
]


# A file, several statements, a setting.
@pytest.mark.parametrize("sql", some(FENCED, [FENCED[0], FENCED[3], FENCED[4]]))
def test_the_fences_of_one_that_waited_are_those_of_a_new_one(session: Session, atlas_file: Path, sql: str) -> None:
    session.prepare_sql()
    waiting(session)
    with pytest.raises(QuestionError) as waited:
        run_sql(session, sql)
    with pytest.raises(QuestionError) as new:
        run_sql(atlas_file, sql)
    assert str(waited.value) == str(new.value)


@linux
def test_limits_and_settings_of_one_that_waited(session: Session, atlas_file: Path) -> None:
    session.prepare_sql()
    pid = waiting(session).process.pid
    deadline = time.monotonic() + HANG_S
    while "Max open files            0 " not in Path(f"/proc/{pid}/limits").read_text():
        assert time.monotonic() < deadline and is_running(pid)
        time.sleep(0.02)
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert f"Max address space         {children.DEFAULT_MEMORY_MB * 2**20} " in limits
    assert "Max file size             0 " in limits and "Max core file size        0 " in limits
    settings = "SELECT name, value FROM duckdb_settings() ORDER BY name"
    assert run_sql(session, settings, timeout_s=7).rows == run_sql(atlas_file, settings, timeout_s=7).rows


def test_time_is_limited_for_one_that_waited(session: Session) -> None:
    session.prepare_sql()
    waiting(session)
    with pytest.raises(QuestionError, match="longer than its"):
        run_sql(session, ENDLESS, timeout_s=0.5)
    assert run_sql(session, "SELECT 1").rows == [(1,)]


@linux
def test_another_memory_is_not_asked_of_one_that_waits(session: Session) -> None:
    session.prepare_sql()
    pid = waiting(session).process.pid
    (row,) = run_sql(session, "SELECT current_setting('memory_limit')", memory_mb=MIN_MEMORY_MB).rows
    assert row == ("512.0 MiB",)
    assert waiting(session).process.pid == pid


@linux
@pytest.mark.parametrize(
    "sign", some([signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM], [signal.SIGSEGV, signal.SIGTERM])
)
def test_one_that_dies_while_it_waits_is_replaced(session: Session, sign: int) -> None:
    session.prepare_sql()
    child = waiting(session)
    os.kill(child.process.pid, sign)
    child.process.wait(HANG_S)
    assert run_sql(session, "SELECT 41 + 1").rows == [(42,)]


def test_one_that_crashes_at_its_statement_is_an_error_and_the_next_is_answered(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = children._BOOT
    monkeypatch.setattr(children, "_BOOT", "import os, sys; [sys.stdin.readline() for _ in '12']; os.abort()")
    session.prepare_sql()
    waiting(session)
    monkeypatch.setattr(children, "_BOOT", boot)
    with pytest.raises(QuestionError, match="stopped"):
        run_sql(session, "SELECT 1")
    assert run_sql(session, "SELECT 1").rows == [(1,)]


def test_one_that_reads_nothing_does_not_keep_a_large_statement(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_BOOT", "import time; time.sleep(600)")
    with pytest.raises(QuestionError, match="longer than"):
        run_sql(session, "SELECT $1", parameters=["x" * 2**20], timeout_s=0.2)


def test_another_atlas_at_the_same_place_is_refused(tmp_path: Path) -> None:
    path = write_small_atlas(tmp_path / "a.duckdb", seed=1)
    with open_session(path) as session:
        assert run_sql(session, "SELECT atlas_id FROM atlas").rows == [(session.atlas.manifest.atlas_id,)]
        write_small_atlas(path, seed=2)
        for _ in range(2):  # the one that waits may have opened the old file: it answers, or is refused
            try:
                found = run_sql(session, "SELECT atlas_id FROM atlas").rows
                assert found == [(session.atlas.manifest.atlas_id,)]
            except QuestionError as error:
                assert "replaced" in error.message
        with pytest.raises(QuestionError, match="replaced"):
            run_sql(session, "SELECT 1", memory_mb=MIN_MEMORY_MB)


@linux
def test_closing_ends_the_one_that_waits_and_those_at_work(atlas_file: Path) -> None:
    atlas, raised = open_atlas(atlas_file), []
    session = session_of(atlas)

    def ask() -> None:
        try:
            run_sql(session, ENDLESS, timeout_s=60)
        except QuestionError as error:
            raised.append(error.message)

    askers = [threading.Thread(target=ask, daemon=True) for _ in range(children.MOST + 2)]
    for asker in askers:
        asker.start()
    deadline = time.monotonic() + HANG_S
    while len(session.processes._at_work) < children.MOST:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    session.prepare_sql()
    pids = [child.process.pid for child in (*session.processes._at_work, waiting(session))]
    assert len(pids) == children.MOST + 1
    atlas.close()
    for asker in askers:
        asker.join(HANG_S)
        assert not asker.is_alive(), "a statement hangs"
    assert raised == ["the session is closed"] * len(askers)
    for pid in pids:
        until_gone(pid)


DIES = """
import os, signal, sys, time
from queries.sandbox.sandbox import run_sql
from atlas.store.reader import open_atlas
from queries.session.session import session_of
atlas = open_atlas(sys.argv[1])
session = session_of(atlas)
run_sql(atlas, "SELECT 1")
while not session.processes._waiting:
    time.sleep(0.01)
print(session.processes._waiting[0].process.pid, flush=True)
end = sys.argv[2]
if end == "ctrl-c":
    run_sql(session, "SELECT count(*) FROM range(100000000) a, range(100000000) b", timeout_s=600)
elif end == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif end == "forgotten":
    del atlas, session
    print("gone", flush=True)
    time.sleep(600)
"""


@linux
@pytest.mark.parametrize("end", ["exit", "killed", "ctrl-c", "forgotten"])
def test_however_the_program_ends_no_process_stays(atlas_file: Path, end: str) -> None:
    program = [sys.executable, "-c", DIES, str(atlas_file), end]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            if end == "ctrl-c":
                time.sleep(0.3)
                parent.send_signal(signal.SIGINT)
            if end == "forgotten":
                assert parent.stdout.readline() == b"gone\n"
            until_gone(pid)
            if end == "exit":
                assert parent.wait(HANG_S) == 0
        finally:
            parent.kill()
