"""A model and a corpus, the rows of one process, and what is said of workers, by whatever engine they run."""

from __future__ import annotations

import pickle
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import BuildError
from builders.build.passing import Passing
from builders.build.product import Tables
from builders.detectors.work import FindDetectors
from builders.exemplars.work import FindExemplars
from builders.progress import Silent
from builders.workers.held import Held, said
from builders.workers.pool import DONE, FAILED, READY, Worker
from builders.workers.task import Answer, Setup, Task
from tests.builders.workers.options import OPTIONS
from tests.end_to_end.workbench import all_rows, built, write_corpus
from tests.synthetic import make_model


class Heard(Silent):
    """Keeps what is said of workers."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def event(self, text: str) -> None:
        self.events.append(text)

    def by(self, worker: int) -> list[str]:
        return [event for event in self.events if event.startswith(f"worker {worker}: ")]


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="package")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "words.jsonl")


@pytest.fixture(scope="package")
def alone(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The rows of one process, without gradients."""
    target = tmp_path_factory.mktemp("alone") / "a.duckdb"
    return all_rows(built(model, target, corpus, texts=(str(corpus),), **OPTIONS))


class ThreadWorker(Worker):
    """A worker in a thread of this process: what a process does, without its start."""

    loading = threading.Lock()

    def __init__(self, index: int, setup: Setup, put: Callable[[str, Any], None]) -> None:
        self.inbox: queue.Queue[Any] = queue.Queue()
        self.thread = threading.Thread(target=self.work, args=(pickle.dumps(setup), put), daemon=True)
        self.thread.start()

    def send(self, message: tuple[Any, ...]) -> None:
        self.inbox.put(pickle.dumps(message))

    def end(self) -> None:
        self.inbox.put(None)
        self.thread.join()

    def work(self, setup: bytes, put: Callable[[str, Any], None]) -> None:
        with self.loading:
            held = Held(pickle.loads(setup))
        put(READY, "")
        while (message := self.inbox.get()) is not None:
            what, *values = pickle.loads(message)
            try:
                held.tell(*values) if what == "tell" else put(DONE, held.run(*values))
            except BuildError as error:
                put(FAILED, said(error))


def passing_of(monkeypatch: pytest.MonkeyPatch) -> dict[str, Passing]:
    """By the name of a last unit what workers are given for it. That the host makes none of them is seen to."""
    run, found = Held.run, {}

    def keeps(self: Held, task: Task, passing: Passing | None = None) -> Answer:
        if task.last:
            assert passing is not None
            found[task.name] = passing
        return run(self, task, passing)

    for work in (FindExemplars, FindDetectors):
        monkeypatch.setattr(work, "run_last", _beside_the_host(work.run_last))
    monkeypatch.setattr(Held, "run", keeps)
    return found


def _beside_the_host(run_last: Callable[..., Tables]) -> Callable[..., Tables]:
    def checked(*arguments: Any) -> Tables:
        assert threading.current_thread() is not threading.main_thread()
        return run_last(*arguments)

    return checked


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builders.workers.local.LocalWorker", ThreadWorker)
