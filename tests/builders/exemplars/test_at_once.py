"""Shards that two threads read at once: the rows are those of one after the other, each by one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from atlas.live.loading import load
from builders.build.inputs import prepare
from builders.build.plan import Plan
from builders.exemplars import work
from builders.exemplars.product import PRODUCT
from builders.weights import work as weights
from tests.end_to_end.workbench import all_rows, built, config, write_corpus
from tests.synthetic import make_model

Threads = Callable[[int], None]


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Sets how many torch takes."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def many_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builders.exemplars.running_text.SHARD_TOKENS", 24)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "words.jsonl")


def a_plan(name: str, corpus: Path, folder: Path, **changes: object) -> Plan:
    live = load(str(make_model(name, folder / name)), device="cpu")
    options = config(
        folder / name, folder / "a.duckdb", None, texts=(str(corpus),), context_length=16, decode=False, **changes
    )
    return prepare(options, live, [], [PRODUCT])


@pytest.mark.usefixtures("many_shards")
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_rows_are_those_of_one_after_the_other(
    name: str, corpus: Path, tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(name, tmp_path / "model")
    options = {"texts": (str(corpus),), "context_length": 16, "weight_facts": True, "neighbours": 4}
    threads(1)
    alone = all_rows(built(model, tmp_path / "alone.duckdb", None, **options))
    twins, made = [], work.twin
    monkeypatch.setattr(work, "twin", lambda live: twins.append(live) or made(live))
    threads(2)
    together = all_rows(built(model, tmp_path / "together.duckdb", None, **options))
    assert len(twins) == 2  # one a thread
    assert alone["_exemplar"] and alone["_nearest"]
    assert [table for table in alone if together[table] != alone[table]] == []
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("many_shards")
def test_where_they_are_read_one_after_the_other(
    corpus: Path, tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = a_plan("llama", corpus, tmp_path)
    threads(1)
    assert (work.at_once(plan), weights.at_once(plan)) == (0, 0)
    threads(4)
    assert (work.at_once(plan), weights.at_once(plan)) == (2, 2)
    fitting = plan.config.memory // (3 * 2 * plan.live.n_layers * plan.live.d_mlp)
    for of_neuron, expected in ((fitting, 2), (fitting + 1, 0)):
        monkeypatch.setattr(work, "_BYTES_OF_NEURON", of_neuron)
        assert work.at_once(plan) == expected
    monkeypatch.setattr(work, "_BYTES_OF_NEURON", 6000)
    device = plan.live.device
    for d_model, expected in ((500, 2), (501, 0)):  # of 4 bytes each: a sixteenth of the memory
        large = SimpleNamespace(n_layers=50, d_mlp=1250, d_model=d_model, device=device)
        assert weights.at_once(SimpleNamespace(live=large, config=plan.config)) == expected
    assert work.at_once(a_plan("qwen2_moe", corpus, tmp_path)) == 0


def test_one_shard_has_all_threads(corpus: Path, tmp_path: Path, threads: Threads) -> None:
    threads(2)
    assert work.at_once(a_plan("llama", corpus, tmp_path)) == 0
