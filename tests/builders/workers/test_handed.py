"""Answers between processes: through a file where they are large, which is gone as soon as they are taken."""

from __future__ import annotations

import os
import pickle
import queue
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from builders.workers.handed import SMALL, Handed, forget, handed
from builders.workers.local import LocalWorker, answering, begin_importing
from builders.workers.pool import DONE, ENDED
from builders.workers.task import Answer, Setup

LARGE = pa.table(
    {
        "number": pa.array(np.arange(SMALL // 4), pa.int64()),
        "list": pa.array([[each % 7, None] for each in range(SMALL // 4)], pa.list_(pa.int16())),
        "name": pa.array([None if each % 3 else f"n{each}" for each in range(SMALL // 4)]),
    }
)
ANSWER = Answer([{"a": LARGE, "b": LARGE.slice(5, 3)}, {"none": LARGE.slice(0, 0)}], [["a note"], []], 1.5)


def test_a_large_answer_goes_through_a_file_that_is_gone_when_it_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    found = handed(ANSWER, folder)
    assert isinstance(found, Handed) and [found.path] == list(folder.iterdir())
    assert len(found.head) < SMALL and found.path.stat().st_size > SMALL
    assert all(start % 64 == 0 for start, _ in found.places)
    taken = found.taken()
    assert list(folder.iterdir()) == []
    assert taken == ANSWER
    with pytest.raises(FileNotFoundError):
        found.taken()


def test_a_small_one_stays_as_it_is(tmp_path: Path) -> None:
    small = Answer([{"a": LARGE.take([3])}], [[]], 0.5)  # a slice would bring all rows
    assert handed(small, tmp_path / "none") is small
    assert not (tmp_path / "none").exists()


def test_what_a_process_left_that_has_ended_is_removed_and_nothing_else(tmp_path: Path) -> None:
    handed(ANSWER, tmp_path)
    (tmp_path / f".answer-{os.getpid()}0-x").touch()
    (tmp_path / "words").mkdir()
    forget(tmp_path, os.getpid())
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".answer-{os.getpid()}0-x", "words"]


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        handed(ANSWER, tmp_path / "file")


def _answers_and_is_killed(connection: Any, setup: bytes) -> None:
    """One answer that comes, and one that is written but not said any more."""
    folder = pickle.loads(setup).scratch
    assert folder is not None and os.environ["NAMED"] == "since"
    answering(connection, ANSWER, folder)
    handed(ANSWER, folder)
    os.kill(os.getpid(), signal.SIGKILL)


def test_between_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin_importing()
    monkeypatch.setenv("NAMED", "since")
    setup = Setup(b"", tmp_path, "cpu", "float32", False, "", None)
    events: queue.Queue[tuple[str, Any]] = queue.Queue()
    worker = LocalWorker(0, setup, lambda *event: events.put(event), _answers_and_is_killed)
    assert events.get() == (DONE, ANSWER)
    assert events.get() == (ENDED, "ended by signal 9")
    assert len(list(tmp_path.iterdir())) == 1
    worker.end()
    assert list(tmp_path.iterdir()) == []
