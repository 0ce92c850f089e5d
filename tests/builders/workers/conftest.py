"""A model and a corpus, the rows of one process, and what is said of workers, by whatever engine they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.progress import Silent
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
