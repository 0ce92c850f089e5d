"""The limits that the child puts on itself, seen from inside, and what the parent makes of a bad child."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atlas.errors import AtlasFileError, QuestionError, UsageError
from queries.sandbox import children, wire
from queries.sandbox.sandbox import run_sql

PROBE = """
import json, resource, sys
sys.path += sys.argv[1:]
from queries.sandbox import child as sandbox_child
sandbox_child._limit(1024)
sandbox_child._limit_time(5)
try:
    written = open("probe", "wb", buffering=0).write(b"x")
except OSError:
    written = 0
names = ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_NOFILE")
print(json.dumps([written, *[resource.getrlimit(getattr(resource, name)) for name in names]]))
"""


def test_limits_of_the_operating_system(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", PROBE, *children.import_path()],
        cwd=tmp_path,
        env={},
        capture_output=True,
        check=True,
    )
    written, *limits = json.loads(done.stdout)
    assert not written
    assert limits == [[2**30] * 2, [7, 7], [0, 0], [0, 0], [64, 64]]


def test_the_caller_keeps_its_own_limits(atlas_file: Path) -> None:
    before = [resource.getrlimit(which) for which in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE)]
    run_sql(atlas_file, "SELECT 1")
    after = [resource.getrlimit(which) for which in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE)]
    assert after == before


def test_the_caller_does_not_import_duckdb(atlas_file: Path) -> None:
    program = (
        "import sys; from queries.sandbox.sandbox import run_sql; "
        f"assert run_sql({str(atlas_file)!r}, 'SELECT 41 + 1').rows == [(42,)]; "
        "sys.exit(any(name in sys.modules for name in ('duckdb', 'numpy', 'pyarrow')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])


def test_a_child_that_floods_is_cut_off(atlas_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_BOOT", "import os\nwhile True: os.write(1, b'x' * 65536)")
    with pytest.raises(QuestionError, match="too large"):
        run_sql(atlas_file, "SELECT 1")


def test_a_child_that_hangs_is_killed(atlas_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_BOOT", "import time; time.sleep(600)")
    with pytest.raises(QuestionError, match="longer than"):
        run_sql(atlas_file, "SELECT 1", timeout_s=0.2)
    monkeypatch.setattr(children, "_BOOT", "import os, time; os.close(1); time.sleep(600)")
    with pytest.raises(QuestionError, match="longer than"):
        run_sql(atlas_file, "SELECT 1", timeout_s=0.2)


@pytest.mark.parametrize("boot", ["import os; os.abort()", "import sys; sys.exit(3)", "print('no such line')"])
def test_a_child_that_dies_or_babbles(atlas_file: Path, monkeypatch: pytest.MonkeyPatch, boot: str) -> None:
    monkeypatch.setattr(children, "_BOOT", boot)
    with pytest.raises(QuestionError, match="stopped"):
        run_sql(atlas_file, "SELECT 1")


def test_a_locked_atlas(atlas_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "locked.duckdb"
    copy.write_bytes(atlas_file.read_bytes())
    writer = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", writer, str(copy)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(AtlasFileError, match="locked"):
            run_sql(copy, "SELECT 1")
        process.communicate()


def test_messages_build_no_foreign_objects() -> None:
    for line in (b'["row", {"__class__": "os"}]', b'["row", {"date": 1, "blob": ""}]', b"[]", b"{}", b"\xff"):
        with pytest.raises((ValueError, TypeError)):
            wire.decode(line)
    with pytest.raises(TypeError, match="object"):
        wire.encode("row", [object()])


def test_text_that_is_not_utf8_and_memory_beyond_all_counters(atlas_file: Path) -> None:
    with pytest.raises(QuestionError, match="not valid UTF-8"):
        run_sql(atlas_file, "SELECT '\udcff'")
    with pytest.raises(UsageError, match="--memory"):
        run_sql(atlas_file, "SELECT 1", memory_mb=10**20)


ASKS_AND_WAITS = """
import sys
from pathlib import Path
from queries.sandbox import children, sandbox
children._BOOT = f"import os; print(os.getpid(), file=open({sys.argv[2]!r}, 'w'), flush=True)\\n" + children._BOOT
sandbox.run_sql(Path(sys.argv[1]), "SELECT count(*) FROM range(100000000) a, range(100000000) b", timeout_s=60)
"""


def _is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere an alarm ends it")
def test_a_child_does_not_outlive_a_killed_parent(atlas_file: Path, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", ASKS_AND_WAITS, str(atlas_file), str(note)]) as parent:
        deadline = time.monotonic() + 30
        while not (note.exists() and note.read_text().strip()):
            assert time.monotonic() < deadline and parent.poll() is None
            time.sleep(0.05)
        child = int(note.read_text())
        while _processor_time(child) < 1.0:  # it is at work on the statement
            assert time.monotonic() < deadline and _is_running(child)
            time.sleep(0.05)
        parent.kill()
    deadline = time.monotonic() + 10
    while _is_running(child):
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.05)


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_child_whose_parent_died_before_it_asked_ends(atlas_file: Path) -> None:
    place = {"path": str(atlas_file), "atlas_id": None, "memory_mb": 2048, "open_s": 5.0}
    line = wire.encode("place", {**place, "parent": 1 if os.getpid() != 1 else 2})
    line += wire.encode("statement", {"sql": "SELECT 1", "parameters": None, "max_rows": 1, "timeout_s": 5.0})
    command = [sys.executable, "-I", "-S", "-B", "-c", children._BOOT, *children.import_path()]
    done = subprocess.run(command, input=line, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, b"")
