"""A statistic with a table of its own: computed, stored, checked and shown without a line of code elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

import builders.gaussians.layer as layer_statistics
from atlas.errors import BuildError
from atlas.schema.tables import TABLES
from atlas.store.reader import open_atlas
from atlas.store.verify import BROKEN, OK, UNKNOWN, checks_of
from builders.build import target
from builders.build.pipeline import build
from builders.gaussians.layer import separate_and_fit
from tests.builders.gaussians import toy_statistic
from tests.builders.gaussians.samples import CONCEPT_SIZES, columns, labels
from tests.end_to_end.workbench import all_rows, built, config, write_corpus
from tests.synthetic import make_model

C = len(CONCEPT_SIZES)
LAYERS, WIDTH, CONCEPTS, PER_CONCEPT = 3, 32, 3, 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "words.jsonl")


@pytest.fixture(scope="module")
def without(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(model, tmp_path_factory.mktemp("without") / "a.duckdb", corpus)


@pytest.fixture(scope="module")
def plain(without: Path) -> dict[str, list[tuple]]:
    return all_rows(without)


@pytest.fixture
def toy() -> Iterator[None]:
    with toy_statistic.registered():
        yield


@pytest.fixture(scope="module")
def published(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with toy_statistic.registered():
        return built(model, tmp_path_factory.mktemp("with") / "a.duckdb", corpus)


def test_tiles_are_joined_along_the_neurons(toy, monkeypatch) -> None:
    acts = columns(0).astype(np.float32)
    whole = separate_and_fit(acts, labels(), C, [2.5], 4).further["_toy"]
    monkeypatch.setattr(layer_statistics, "TILE_VALUES", {"cpu": 0})
    monkeypatch.setattr(layer_statistics, "MIN_TILE_WIDTH", 3)
    tiled = separate_and_fit(acts, labels(), C, [2.5], 4).further["_toy"]
    for name, values in whole.items():
        np.testing.assert_array_equal(tiled[name], values)
    for concept in range(C):
        np.testing.assert_array_equal(whole["median"][concept], np.median(acts[labels() == concept], axis=0))


def test_a_new_statistic_changes_no_other_row(toy, published: Path, plain: dict[str, list[tuple]]) -> None:
    found = all_rows(published)
    assert len(found.pop("_toy")) == LAYERS * WIDTH * CONCEPTS
    assert {row for row in plain["_digest"] if row[0].startswith("_")} <= set(found.pop("_digest"))
    assert found == {name: rows for name, rows in plain.items() if name != "_digest"}


def test_its_rows_are_in_order_shown_and_null_where_nothing_is_defined(toy, published: Path) -> None:
    with open_atlas(published) as atlas:
        stored = atlas.query("SELECT fit_id, layer, concept_id, neuron FROM _toy ORDER BY rowid")[1]
        assert stored == [(0, layer, c, n) for layer in range(LAYERS) for c in range(CONCEPTS) for n in range(WIDTH)]
        _, rows = atlas.query(
            """SELECT median, geometric, positive, ends, g.min, g.max FROM concept_gaussian g ORDER BY layer, neuron"""
        )
    assert len(rows) == len(stored)
    assert any(row[1] is None for row in rows) and not any(row[1] is not None and np.isnan(row[1]) for row in rows)
    for median, _, positive, ends, smallest, largest in rows:
        assert ends == (smallest, largest) and smallest <= median <= largest
        assert (positive == PER_CONCEPT) == (smallest > 0) and (positive == 0) == (largest <= 0)


def broken_rules(path: Path) -> set[str]:
    return {check.name for check in checks_of(path) if check.result == BROKEN}


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("DELETE FROM _toy WHERE neuron = 5 AND layer = 1 AND concept_id = 2", "fits have all their rows of _toy"),
        ("DELETE FROM _toy WHERE layer = 1", "fits have all their rows of _toy"),
        ("UPDATE _toy SET neuron = 32 WHERE neuron = 31", "rows of _toy are of a neuron of their fit"),
        ("UPDATE _toy SET layer = 3 WHERE layer = 2", "rows of _toy are of a neuron of their fit"),
        ("UPDATE _toy SET concept_id = 7 WHERE concept_id = 2", "rows of _toy are of a concept of their fit"),
        ("UPDATE _toy SET fit_id = 1", "rows of _toy are of a neuron of their fit"),
        ("UPDATE _toy SET median = 'inf' WHERE neuron = 3", "rows of _toy are finite or NULL"),
        ("UPDATE _toy SET ends = ['-inf', 'inf'] WHERE neuron = 3", "rows of _toy are finite or NULL"),
        ("UPDATE _toy SET geometric = 'nan' WHERE neuron = 3", "rows of _toy are finite or NULL"),
    ],
)
def test_verify_checks_its_table(toy, published: Path, tmp_path: Path, statement: str, rule: str) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(published.read_bytes())
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM _digest")
        connection.execute(statement)
    assert rule in broken_rules(path)


def test_a_published_file_is_whole_and_one_from_before_is_too(toy, published: Path, without: Path) -> None:
    assert {check.result for check in checks_of(published)} == {OK}
    assert {check.result for check in checks_of(without)} <= {OK, UNKNOWN}


def test_fits_from_before_the_statistic_stay_without_it(
    toy, model: Path, corpus: Path, without: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "damage", lambda *_: None)  # it looks from another process, where no toy is registered
    path = tmp_path / "a.duckdb"
    path.write_bytes(without.read_bytes())
    build(config(model, path, corpus, decode=False, sites=("resid_post",)), existing="add")
    with open_atlas(path) as atlas:
        _, rows = atlas.query("SELECT site, count(*), count(median) FROM concept_gaussian GROUP BY site ORDER BY site")
        assert rows == [("mlp_post", LAYERS * WIDTH * CONCEPTS, 0), ("resid_post", LAYERS * 16 * CONCEPTS, 144)]
    build(config(model, path, corpus, decode=False, sites=("resid_post",)), existing="add")  # which replaces its rows
    with open_atlas(path) as atlas:
        assert atlas.query("SELECT count(*), count(DISTINCT fit_id) FROM _toy")[1] == [(144, 1)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda found: found.pop("median"), r"gave the columns \['ends', 'geometric', 'positive'\] of _toy"),
        (lambda found: found.update(median=found["median"][:1]), r"_toy.median has the shape \(1, 32\)"),
        (lambda found: found["median"].fill(np.nan), "_toy.median must not be NULL, and 96 values are NaN"),
        (lambda found: found.update(positive=found["positive"] + 2**40), "_toy.positive cannot hold"),
    ],
)
def test_what_does_not_fit_its_table_is_refused(
    toy, model: Path, corpus: Path, tmp_path: Path, monkeypatch, change, reason: str
) -> None:
    right = toy_statistic.compute

    def wrong(tile) -> dict[str, np.ndarray]:
        found = right(tile)
        change(found)
        return found

    monkeypatch.setattr(toy_statistic, "compute", wrong)
    with pytest.raises(BuildError, match=reason):
        built(model, tmp_path / "a.duckdb", corpus, decode=False)
    assert not (tmp_path / "a.duckdb").exists()


def test_registered_statistics_have_their_table(toy) -> None:
    for each in layer_statistics.tile_statistics():
        assert TABLES[each.TABLE.name] is each.TABLE
        assert each.TABLE.key == ("fit_id", "layer", "concept_id", "neuron")
