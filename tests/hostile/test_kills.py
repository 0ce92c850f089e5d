"""A build killed at any moment: nothing half-written is visible, and resumed it has the rows of an undisturbed one.

tests/end_to_end/test_interrupted.py kills at chosen steps; here the clock chooses, and the resumed build may be
killed again.
"""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from atlas.store.verify import OK, checks_of
from builders.build.pipeline import build
from tests import warm
from tests.end_to_end.workbench import all_rows, built, config, write_corpus
from tests.hostile.counts import count, generator
from tests.synthetic import make_model

KILLS = count(2, 200)
_HANG_S = 120


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "words.jsonl")


def child(word: Connection, model: Path, target: Path, corpus: Path) -> None:
    """Imports first and says so, then waits for the word: the time of a kill counts from the start of the build."""
    os.setsid()
    word.send("ready")
    word.recv()
    build(config(model, target, corpus, taus=(1.0, 2.5)), interrupted="resume", existing="replace")


def run(model: Path, target: Path, corpus: Path, kill_after_s: float | None) -> tuple[int, float]:
    """Exit code of a build in a process of its own, killed after that time; and how long it took."""
    ours, its = warm.CONTEXT.Pipe()
    process = warm.CONTEXT.Process(target=child, args=(its, model, target, corpus))
    process.start()
    assert ours.recv() == "ready" and process.pid is not None
    start = time.monotonic()
    ours.send("go")
    process.join(_HANG_S if kill_after_s is None else kill_after_s)
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
        process.join(_HANG_S)
    assert process.exitcode is not None
    return process.exitcode, time.monotonic() - start


@pytest.fixture(scope="module")
def undisturbed(
    model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, list[tuple]], float]:
    """The rows of a build that nobody kills, and its seconds."""
    target = tmp_path_factory.mktemp("whole") / "a.duckdb"
    code, seconds = run(model, target, corpus, None)
    assert code == 0
    return all_rows(target), seconds


@pytest.mark.parametrize("case", range(KILLS))
def test_a_build_killed_at_any_moment_resumes_to_the_same_rows(
    model: Path, corpus: Path, undisturbed: tuple[dict[str, list[tuple]], float], tmp_path: Path, case: int
) -> None:
    rows, seconds = undisturbed
    rng = generator(f"kills/{case}")
    target = tmp_path / "a.duckdb"
    old = None
    if rng.random() < 0.5:  # something to replace, which stays until the new one is whole
        old = built(model, target, None, top=3).read_bytes()
    for _ in range(rng.choice([1, 1, 2, 3])):
        code, _ = run(model, target, corpus, rng.uniform(0, 1.1 * seconds))
        assert code in (0, -signal.SIGKILL)
        visible = target.read_bytes() if target.exists() else None
        if visible != old:  # published, whatever else was still to be done
            assert all_rows(target) == rows
            break
    build(config(model, target, corpus, taus=(1.0, 2.5)), interrupted="resume", existing="replace")
    assert all_rows(target) == rows
    assert {check.result for check in checks_of(target)} == {OK}
    assert list(tmp_path.iterdir()) == [target]
