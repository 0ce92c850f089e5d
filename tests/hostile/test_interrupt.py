"""Ctrl-C at any moment of any question, in processes of their own: exit code 130, soon, and without a word."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.atlas_factory import write_small_atlas
from tests.hostile.counts import count, generator

SOON_S = 10.0  # a second on a machine that has nothing else to do
PAIRS = "range(100000000000) a, range(1000) b"  # DuckDB keeps the shorter side, which must not take its memory
FOR_EVER = f"SELECT count(*) FROM {PAIRS} WHERE hash(a.range, b.range) = 1"
FEW_ROWS = f"SELECT a.range FROM {PAIRS} WHERE hash(a.range, b.range) % 10000000 = 1"
# Where the test was started by something that ignores Ctrl-C, its processes would ignore it too.
COMMAND_LINE = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "import atlas.__main__ as door; os.write(1, b'!'); door.process()"
)
ASKING = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from atlas.store.reader import open_atlas
with open_atlas(sys.argv[1], 0) as atlas:
    ask = {ask}
    os.write(1, b"!")
    try:
        ask(sys.argv[2])
    except KeyboardInterrupt:
        assert atlas.query("SELECT 7")[1] == [(7,)]
        sys.exit(130)
"""
WAYS = {
    "query": "atlas.query",
    "arrow": "atlas.arrow",
    "arrays": "atlas.arrays",
    "rows": "lambda sql: atlas.rows([sql, 'SELECT 1'])",
    "the helper's rows": "lambda sql: atlas.rows(['SELECT 1', sql])",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("interrupt") / "small.duckdb")


def interrupted(program: str, *arguments: object, after_s: float) -> tuple[int, bytes, float]:
    """Exit code, stderr and seconds to the end of a program that gets Ctrl-C `after_s` seconds after it wrote `!`."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert select.select([process.stdout], [], [], 60)[0], "it does not begin"
            assert process.stdout.read(1) == b"!", process.stderr.read()
            time.sleep(after_s)
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            _, said = process.communicate(timeout=SOON_S)
            return process.returncode, said, time.monotonic() - began
        finally:
            process.kill()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sql", [FOR_EVER, FEW_ROWS], ids=["no row", "few rows"])
def test_a_statement_that_does_not_end(path: Path, way: str, sql: str) -> None:
    after_s = generator(f"interrupt/{way}/{sql}").uniform(0.1, 1.0)
    code, said, _ = interrupted(ASKING.format(ask=WAYS[way]), path, sql, after_s=after_s)
    assert (code, b"Traceback" in said) == (130, False), said  # some versions of DuckDB say what they leave behind


@pytest.mark.parametrize("sql", [FOR_EVER, FEW_ROWS], ids=["no row", "few rows"])
def test_sql_that_does_not_end(path: Path, sql: str) -> None:
    after_s = generator(f"interrupt/sql/{sql}").uniform(0.0, 2.0)
    arguments = ("sql", sql, "-a", path, "--timeout", 600)
    assert interrupted(COMMAND_LINE, *arguments, after_s=after_s)[:2] == (130, b"")


def test_any_question_at_any_moment(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ends = []
    for i in range(count(16, 300)):
        numbers = generator(f"interrupt/{i}")
        question = numbers.choice(
            (
                ["token", "dog", "-a", path],
                ["token", "dog", "-a", path, "-o", out / "dog.csv"],
                ["concept", "sports", "-a", path, "--format", "json"],
                ["neuron", "L1N7", "-a", path],
                ["layer", "1", "-a", path, "-o", out / "layer.parquet"],
                ["spec", "--concept", "sports", "-a", path],
                ["compare", path, path],
                ["verify", path],
                ["sql", "SELECT 1", "-a", path],
            )
        )
        # Three quarters come while it is at work; a question that has ended by then has ended well.
        code, said, _ = interrupted(COMMAND_LINE, *question, after_s=numbers.uniform(0, 0.4))
        text = said.decode()
        assert code in (0, 130), (i, question, text)
        assert not any(word in text for word in ("Traceback", "unexpected", "error", "Exception")), (i, question, text)
        if code == 130:
            assert all(line.startswith(("note: ", "tokens used")) for line in text.splitlines()), (i, question, text)
        ends.append(code)
    assert 130 in ends
    assert {entry.name for entry in out.iterdir()} <= {"dog.csv", "layer.parquet"}


def test_whoever_ignores_ctrl_c_is_not_ended_by_it(path: Path) -> None:
    program = COMMAND_LINE.replace("signal.default_int_handler", "signal.SIG_IGN")
    code, _, _ = interrupted(program, "token", "dog", "-a", path, after_s=0.05)
    assert code == 0
