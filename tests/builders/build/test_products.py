"""The table of products, and two toys in it: shared readings, kills at every unit, adding to an atlas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

import builders.activations.record as recording
from atlas.errors import BuildError, ModelError
from atlas.live.batching import batches
from atlas.live.loading import load
from atlas.schema.table import DESCRIPTION, FAMILY, FIT, WEIGHT
from atlas.schema.tables import TABLES, about
from atlas.store.reader import open_atlas
from atlas.store.staging import Staging
from builders.activations.scratch import Scratch
from builders.build import target
from builders.build.inputs import prepare, read_corpora
from builders.build.pipeline import build
from builders.build.product import Needs, Part
from builders.build.products import PRODUCTS, product
from builders.config import BuildConfig
from builders.corpora.text_hash import text_hash
from tests.builders.build import toy_products
from tests.end_to_end import workbench
from tests.end_to_end.workbench import PETS, SPORT, STATE, all_rows, write_corpus
from tests.synthetic import make_model

LAYERS, WIDTH, CONCEPTS = 2, 32, 3
TEXTS = PETS + SPORT + STATE


def config(model: Path, target: Path, corpus: Path | None, **changes: Any) -> BuildConfig:
    """Without intervals: beside the toys, two products of the project are enough."""
    return workbench.config(model, target, corpus, folds=0, **changes)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("model"), num_hidden_layers=LAYERS)


def n_tokens(model: Path) -> list[int]:
    """Of each text, by the tokenizer itself."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    return [len(tokenizer(text)["input_ids"]) for text in TEXTS]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "words.jsonl")


@pytest.fixture(scope="module")
def without(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    path = build(config(model, tmp_path_factory.mktemp("without") / "a.duckdb", corpus, keep_vectors=True)).path
    return path, all_rows(path)


@pytest.fixture
def toys() -> Iterator[None]:
    with toy_products.registered():
        yield


@pytest.fixture
def no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that looks for damage before rows are added knows no toys."""
    monkeypatch.setattr(target, "damage", lambda *_: None)


def test_the_table_names_products_and_the_tables_they_fill(model: Path, corpus: Path, tmp_path: Path) -> None:
    wanted = config(model, tmp_path / "a.duckdb", corpus, keep_vectors=True)
    filled: list[str] = []
    for name in PRODUCTS:
        assert product(name).name == name
        assert product(name).needs in Needs
        filled += product(name).tables(wanted)
    assert sorted(filled) == sorted([*about(WEIGHT), *about(FAMILY), *about(FIT), *about("texts"), *about(DESCRIPTION)])
    assert set(filled) <= set(TABLES)


@pytest.mark.parametrize("position", ["last", "all"])
def test_activations_are_computed_and_read_once_for_all(
    toys, model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, position: str
) -> None:
    passes, reads, read, capture = [], [], Scratch.read, recording.capture

    def counted_pass(live, input_ids, *arguments):
        passes.append(input_ids.shape)
        return capture(live, input_ids, *arguments)

    def counted_read(self, site, layer, *arguments):
        reads.append((site, layer))
        return read(self, site, layer, *arguments)

    monkeypatch.setattr(recording, "capture", counted_pass)
    monkeypatch.setattr(Scratch, "read", counted_read)
    sites = ("mlp_post", "resid_post")
    options = {"sites": sites, "position": position, "decode": False}
    report = build(config(model, tmp_path / "a.duckdb", corpus, **options))
    assert report.notes == ["the norms are there"]
    assert sorted(reads) == sorted((site, layer) for site in sites for layer in range(LAYERS))
    tokens = n_tokens(model)
    assert passes == [batch.input_ids.shape for batch in batches([[0] * n for n in tokens], 24)]
    with open_atlas(report.path) as atlas:
        _, rows = atlas.query("SELECT n, mean, total, texts FROM concept_gaussian")
        assert len(rows) == LAYERS * (WIDTH + 16) * CONCEPTS
        for n, mean, total, texts in rows:
            assert total == pytest.approx(n * mean, rel=1e-5, abs=1e-5)
            assert texts == 6
        _, rows = atlas.query("SELECT run_id, builder, finished_at IS NOT NULL FROM run ORDER BY 1")
        assert rows == [(1, "norms", True), (2, "gaussians", True), (3, "totals", True)]


@pytest.mark.parametrize("position", ["last", "all"])
def test_each_value_names_its_text(toys, model: Path, corpus: Path, tmp_path: Path, position: str) -> None:
    build(config(model, tmp_path / "a.duckdb", corpus, decode=False, position=position))
    assert len(toy_products.SEEN) == LAYERS
    for seen in toy_products.SEEN:
        per_text = np.bincount(seen.examples_E, minlength=len(TEXTS)).tolist()
        assert per_text == (n_tokens(model) if position == "all" else [1] * len(TEXTS))
        assert seen.labels_E.tolist() == [example // 6 for example in seen.examples_E]
        assert seen.hashes_E.tolist() == [text_hash(TEXTS[example]) for example in seen.examples_E]
        assert seen.hashes_E.dtype == np.uint64 and len(seen.acts_EN) == len(seen.labels_E)


class Killed(Exception):
    pass


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_build_killed_at_every_unit_resumes_to_the_same_rows(
    toys, model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Each try gets one unit further: the next is lost before it is committed, or the build ends right after it."""
    whole = all_rows(build(config(model, tmp_path / "whole.duckdb", corpus, decode=False)).path)
    units = dict(toy_products.RUNS)
    assert units == dict.fromkeys(units, 1)
    toy_products.RUNS.clear()
    commit, committed, kills = Staging.commit, [], []

    def killed(self: Staging, step: str, unit: str, tables: dict) -> None:
        if len(committed) == len(kills) and when == "before":
            raise Killed
        commit(self, step, unit, tables)
        committed.append((step, unit))
        if when == "after":
            raise Killed

    monkeypatch.setattr(Staging, "commit", killed)
    options = config(model, tmp_path / "a.duckdb", corpus, decode=False)
    path = None
    while path is None and len(kills) < 30:
        try:
            path = build(options, interrupted="resume").path
        except Killed:
            kills.append(len(committed))
    assert sorted(committed) == sorted(set(committed)) and len(committed) == 2 + 3 * LAYERS
    assert len(kills) == len(committed)
    assert toy_products.RUNS.keys() == units.keys()
    assert all_rows(path) == whole


def test_adding_replaces_what_is_made_anew_and_no_more(
    no_other_process, model: Path, corpus: Path, without: tuple[Path, dict], tmp_path: Path
) -> None:
    path, before = tmp_path / "a.duckdb", without[1]
    path.write_bytes(without[0].read_bytes())
    with toy_products.registered(others=False):
        for _ in range(2):
            build(config(model, path, corpus, decode=False), existing="add")
            found = all_rows(path)
            assert len(found.pop("_toy_norm")) == LAYERS * WIDTH
            totals = found.pop("_toy_total")
            assert len(totals) == LAYERS * WIDTH * CONCEPTS and {row[0] for row in totals} == {0}
            for table in before.keys() - {"run", "_digest"}:
                assert found[table] == before[table], table
    with toy_products.registered(toys=False):
        # The fit itself is made anew: whatever is about it goes, also what this build does not make.
        build(config(model, path, corpus, decode=False, taus=(1.0,)), existing="add")
        found = all_rows(path)
        assert len(found["_toy_norm"]) == LAYERS * WIDTH and found["_toy_total"] == []
        assert {row[2] for row in found["_range"]} == {1.0}


def test_a_killed_addition_resumes(
    toys,
    no_other_process,
    model: Path,
    corpus: Path,
    without: tuple[Path, dict],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = [tmp_path / "a.duckdb", tmp_path / "b.duckdb"]
    for path in paths:
        path.write_bytes(without[0].read_bytes())
    build(config(model, paths[0], corpus), existing="add")
    commit = Staging.commit

    def killed(self: Staging, step: str, unit: str, tables: dict) -> None:
        if (step, unit) == ("totals", "words/mlp_post/1"):
            raise Killed
        commit(self, step, unit, tables)

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "commit", killed)
        with pytest.raises(Killed):
            build(config(model, paths[1], corpus), existing="add")
    assert paths[1].read_bytes() == without[0].read_bytes()
    build(config(model, paths[1], corpus), existing="add", interrupted="resume")
    assert all_rows(paths[1]) == all_rows(paths[0])


def test_rows_of_a_table_that_is_not_declared_are_refused(
    toys, model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy_products.Norms, "tables", lambda self, config: ("_toy_total",))
    with pytest.raises(BuildError, match="norms made rows of _toy_norm"):
        build(config(model, tmp_path / "a.duckdb", corpus))
    assert not (tmp_path / "a.duckdb").exists()


def test_a_build_is_not_resumed_with_other_products(
    model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self, *arguments, **options):
        raise Killed

    options = config(model, tmp_path / "a.duckdb", corpus)
    with toy_products.registered(), monkeypatch.context() as patch:
        patch.setattr(Staging, "commit", stop)
        with pytest.raises(Killed):
            build(options)
    with pytest.raises(BuildError, match=r"had products = \['decode', 'gaussians', 'norms', 'totals'\], this one has"):
        build(options, interrupted="resume")


def test_activations_of_no_corpus_are_refused(
    toys, model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy_products.Totals, "parts", lambda self, plan: [Part("words", {})])
    with pytest.raises(BuildError, match="totals needs activations and names no corpus"):
        build(config(model, tmp_path / "a.duckdb", corpus, decode=False))


def test_a_weight_that_the_model_lacks_is_refused_whatever_is_built(corpus: Path, tmp_path: Path) -> None:
    gpt2 = make_model("gpt2", tmp_path / "gpt2")
    for decode in (True, False):
        with pytest.raises(ModelError, match="no weight gate_proj"):
            build(config(gpt2, tmp_path / "a.duckdb", corpus, weights=("gate_proj",), decode=decode))


def test_a_unit_follows_from_the_plan_the_ids_and_its_name(
    model: Path, corpus: Path, without: tuple[Path, dict]
) -> None:
    """As another process would compute it: with a model and a plan of its own, any unit first."""
    options = config(model, without[0], corpus, keep_vectors=True)
    live, decode = load(options.model, device="cpu"), product("decode")
    plan = prepare(options, live, read_corpora(options), [decode])
    [part] = decode.parts(plan)
    found: dict[str, list[tuple]] = {"_decoding": [], "neuron_vector": []}
    for unit in reversed(decode.units(plan, part)):
        for table, rows in decode.work(plan, part, None).run(unit).items():
            found[table] += [
                tuple(tuple(v) if isinstance(v, list) else v for v in row.values()) for row in rows.to_pylist()
            ]
    for table, rows in found.items():
        assert sorted(rows) == sorted(without[1][table])
    with open_atlas(without[0]) as atlas:
        ids = product("gaussians").ids(plan, Part("words", {}), 2, lambda sql, values: atlas.query(sql, values)[1])
    assert json.loads(json.dumps(ids)) == ids == {"fits": {"mlp_post": 0}, "concepts": [0, 1, 2]}
