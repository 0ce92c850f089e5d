"""Units that come last, made by workers: one that fails is named, the rest is made, and a build goes on among them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import BuildError
from atlas.schema.exemplar_tables import EXEMPLAR_TABLES
from builders.build.pipeline import build
from builders.exemplars.work import FindExemplars
from builders.progress import Silent
from builders.workers.pool import DONE, ENDED, READY, Pool, Worker
from builders.workers.task import Answer, Setup, Task
from tests.builders.workers.conftest import Heard
from tests.builders.workers.options import OPTIONS
from tests.end_to_end.workbench import all_rows, config

MADE = {"correlated/mlp_post", *(f"place/mlp_post/{layer}" for layer in range(3)), "texts"}


@pytest.mark.usefixtures("in_threads")
def test_one_fails_and_the_build_goes_on_among_them(
    model: Path, corpus: Path, alone: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, made = FindExemplars.run_last, Counter()

    def fails(self: FindExemplars, unit: str, *rest: Any) -> Any:
        made[unit] += 1
        if unit == "place/mlp_post/1":
            raise BuildError("out of luck")
        return run(self, unit, *rest)

    def counts(self: FindExemplars, unit: str, *rest: Any) -> Any:
        made[unit] += 1
        assert threading.current_thread() is not threading.main_thread()
        return run(self, unit, *rest)

    heard, how = Heard(), {**OPTIONS, "detectors": False, "decode": False, "weight_facts": False}
    options = config(model, tmp_path / "b.duckdb", None, texts=(str(corpus),), **how)
    monkeypatch.setattr(FindExemplars, "run_last", fails)
    with pytest.raises(BuildError, match=r"^1 unit failed: exemplars place/mlp_post/1: out of luck"):
        build(options, workers=2, progress=heard)
    tried = [event for event in heard.events if "exemplars place/mlp_post/1" in event]
    assert ["tried again" in event for event in tried] == [True, True, False]
    # Those that do not follow from it are made; the texts of all places do.
    assert made == {**dict.fromkeys(MADE - {"texts"}, 1), "place/mlp_post/1": 3}
    assert not options.target.exists()

    made.clear()
    monkeypatch.setattr(FindExemplars, "run_last", counts)
    found = all_rows(build(options, workers=2, interrupted="resume").path)
    assert made == {"place/mlp_post/1": 1, "texts": 1}
    tables = {table.name for table in EXEMPLAR_TABLES} - {"_text_set"}  # that one names the run
    assert alone["_exemplar"] and alone["_text"]
    assert [table for table in tables if found[table] != alone[table]] == []


class Immediate(Worker):
    """Answers at once; the first of all ends at its third task instead."""

    started = 0

    def __init__(self, index: int, setup: Any, put: Callable[[str, Any], None]) -> None:
        self.put, self.sent, self.mortal = put, [], not Immediate.started
        Immediate.started += 1
        put(READY, "")

    def send(self, message: tuple[Any, ...]) -> None:
        _, task, rows = message
        assert rows == f"rows of {task.name}"
        self.sent.append(task.name)
        if not self.mortal or len(self.sent) < 3:
            self.put(DONE, Answer())
        elif len(self.sent) == 3:
            self.put(ENDED, "ended by signal 9")

    def end(self) -> None:
        pass


def test_what_goes_with_a_task_is_asked_for_when_it_is_dealt() -> None:
    """And again when its worker has ended: no more of it is in memory than workers have tasks."""
    tasks, asked, answered = [Task(str(number)) for number in range(40)], Counter(), []

    def beside(task: Task) -> str:
        asked[task.name] += 1
        # Two each, those of the worker that has ended too, and an answer on its way.
        assert asked.total() - len(answered) <= 2 * 2 + 2 + 1
        return f"rows of {task.name}"

    Immediate.started = 0
    with Pool(2, Immediate, [Setup(b"", None, "cpu", "float32", False, "", None)] * 2, Silent()) as pool:
        for task, _, _ in pool.compute(tasks, beside):
            answered.append(task.name)
    assert sorted(answered) == sorted(task.name for task in tasks)
    assert Immediate.started == 3
    assert 1 <= sum(times == 2 for times in asked.values()) <= 2 and max(asked.values()) == 2
