"""The planted model, its atlas with held-out texts, and the live model, once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from atlas.live.loading import load
from atlas.live.model import LiveModel
from builders.config import ConceptSource
from tests.builders.evaluation.planted import TEMPLATE, plant, write_corpus
from tests.end_to_end.workbench import built


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The models are tiny: a second thread costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="session")
def live(planted: Path) -> LiveModel:
    """Read only."""
    return load(str(planted), device="cpu")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "words.jsonl")


@pytest.fixture(scope="session")
def published(planted: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas whose statistics left 40 % of the texts out. Copy it before a sidecar is written beside it."""
    sources = (ConceptSource(str(corpus), template=TEMPLATE),)
    return built(planted, tmp_path_factory.mktemp("atlas") / "a.duckdb", corpus, concepts=sources, holdout=0.4)


@pytest.fixture
def atlas_file(published: Path, tmp_path: Path) -> Path:
    """A copy of the atlas in a folder of its own."""
    copy = tmp_path / "a.duckdb"
    copy.write_bytes(published.read_bytes())
    return copy
