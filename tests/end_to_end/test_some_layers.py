"""A build of some layers reads, decodes and measures these alone, and its atlas says plainly what it lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from atlas.errors import QuestionError, UsageError
from atlas.live.stored import Stored
from atlas.store.reader import open_atlas
from atlas.store.verify import BROKEN, checks_of
from builders.build.pipeline import build
from queries.card import neuron_card
from queries.compare import compare
from queries.decoded import as_text
from queries.info import info
from queries.layers import layer_tokens
from queries.nearest import nearest
from queries.neurons import neurons_for_token
from queries.search import search
from queries.weights import neurons_by_weights
from tests.end_to_end.workbench import all_rows, built, config, write_corpus
from tests.synthetic import make_model

LACKING = "of layer 0, but of layers 1-2"
OF_LAYERS = ("_decoding", "_weight_fact", "_neuron_fact", "neuron_vector")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("model") / "llama")


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(model, tmp_path_factory.mktemp("whole") / "a.duckdb", None, neighbours=3, keep_vectors=True)


@pytest.fixture(scope="module")
def some(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layers 1 and 2 of three."""
    folder = tmp_path_factory.mktemp("some")
    options: dict[str, Any] = {"neighbours": 3, "keep_vectors": True, "layers": (1, 2)}
    return built(model, folder / "a.duckdb", None, **options)


def broken(path: Path) -> list[str]:
    return [check.name for check in checks_of(path) if check.result == BROKEN]


def rows_in(rows: dict[str, list[tuple[Any, ...]]], table: str, layers: tuple[int, ...]) -> list[tuple[Any, ...]]:
    place = {"_decoding": 2, "_neuron_fact": 0}.get(table, 1)
    return [row for row in rows[table] if row[place] in layers]


def test_the_rows_are_those_of_a_whole_build_in_these_layers_and_no_others(whole, some):
    wanted, found = all_rows(whole), all_rows(some)
    for table in OF_LAYERS:
        assert found[table] == rows_in(wanted, table, (1, 2)) != [], table
    assert found["_nearest"] == found["_redundant"] == []
    assert wanted["_nearest"] != [] and not broken(some)
    assert [json.loads(row[2])["layers"] for row in found["run"]] == [[1, 2], [1, 2]]


def test_only_their_weights_are_read(model, tmp_path, monkeypatch):
    read, values = [], Stored.values
    monkeypatch.setattr(Stored, "values", lambda self, name: read.append(name) or values(self, name))
    built(model, tmp_path / "a.duckdb", None, layers=(1,))
    of_layers = {name.split(".")[2] for name in read if ".layers." in name}
    assert of_layers == {"1"} and any("down_proj" in name for name in read)


def test_all_layers_by_name_are_no_restriction(model, whole, tmp_path):
    named = built(model, tmp_path / "a.duckdb", None, neighbours=3, keep_vectors=True, layers=(0, 1, 2))
    assert all_rows(named) == all_rows(whole)


def test_a_layer_that_the_model_lacks_is_refused(model, tmp_path):
    with pytest.raises(UsageError, match="layers 0 to 2, not 7"):
        built(model, tmp_path / "a.duckdb", None, layers=(1, 7))


def test_what_the_atlas_says_of_layers_that_it_lacks(some):
    with open_atlas(some) as atlas:
        assert info(atlas).sections["rows"].notes == [
            "this atlas has decodings of layers 1-2 only, of 3",
            "this atlas has facts of the weights of layers 1-2 only, of 3",
        ]
        card = neuron_card(atlas, "L0N3")
        assert not card.sections["tokens"].rows and not card.sections["weights"].rows
        assert any(f"no decodings {LACKING}" in note for note in card.sections["tokens"].notes)
        assert any(f"no facts of the weights {LACKING}" in note for note in card.sections["io"].notes)
        held = neuron_card(atlas, "L1N3")
        assert held.sections["tokens"].rows and not held.sections["tokens"].notes
        (note,) = layer_tokens(atlas, 0).notes
        assert f"no decodings {LACKING}" in note and "--layers 0" in note
        assert layer_tokens(atlas, 1).rows and not layer_tokens(atlas, 1).notes
        found = neurons_for_token(atlas, "dog")
        assert {row["layer"] for row in found} <= {1, 2} and "of layers 1-2 only, of 3" in found.notes[-1]
        assert (
            f"no decodings of down_proj {LACKING}"
            in neurons_for_token(atlas, "dog", layer=0, weight="down_proj").notes[-1]
        )
        assert "of layers 1-2 only" in search(atlas, "dog").notes[-1]
        assert "of layers 1-2 only" in neurons_by_weights(atlas).notes[-1]
        assert "vectors of down_proj of layers 1-2 only" in nearest(atlas, "L1N3").notes[-1]
        with pytest.raises(QuestionError, match="no vectors of down_proj in layer 0"):
            nearest(atlas, "L0N3")


def test_a_whole_atlas_says_nothing_of_layers(whole):
    with open_atlas(whole) as atlas:
        assert not info(atlas).sections["rows"].notes
        answers = (neurons_for_token(atlas, "dog"), search(atlas, "dog"), neurons_by_weights(atlas))
        assert not any("layers" in note for answer in answers for note in answer.notes)


def test_a_search_counts_the_neurons_that_are_decoded(some):
    """ln(64 / n) is the rarity of a word that n of them have: one that all have counts nothing."""
    import math

    with open_atlas(some) as atlas:
        found = search(atlas, "dog", limit=100)
        places = atlas.query(
            """SELECT layer_of(nid), neuron_of(nid), sum(pow(logit::DOUBLE / (d.norm::DOUBLE * v.norm::DOUBLE), 2))
               FROM _posting JOIN _decoding d USING (nid) JOIN vocab v USING (token_id)
               JOIN _token_form USING (token_id) WHERE form IN ('dog', 'dogs') GROUP BY ALL"""
        )[1]
        rarity = math.log(64 / len(places))
        expected = {(layer, neuron): rarity * squares for layer, neuron, squares in places}
    assert len(found.rows) == len(expected) > 3
    for row in found:
        assert row["score"] == pytest.approx(expected[row["layer"], row["neuron"]], rel=1e-5)


def test_two_atlases_of_the_same_layers_compare(some, whole):
    with open_atlas(some) as one, open_atlas(whole) as other:
        assert [row["mean_cosine"] for row in compare(one, one)] == pytest.approx([1.0] * 3)
        with pytest.raises(QuestionError, match="decode different neurons"):
            compare(one, other)


def test_layers_are_added_to_an_atlas_beside_the_others(model, whole, tmp_path):
    path = tmp_path / "a.duckdb"
    options: dict[str, Any] = {"neighbours": 3, "keep_vectors": True}
    built(model, path, None, **options, layers=(0,))
    with pytest.raises(UsageError, match="has decodings of down_proj, gate_proj, up_proj in layer 0"):
        build(config(model, path, None, **options, layers=(1, 2), mode="folded"), existing="add")
    build(config(model, path, None, **options, layers=(1, 2)), existing="add")
    found, wanted = all_rows(path), all_rows(whole)
    assert all(found[table] == wanted[table] for table in OF_LAYERS) and not broken(path)


def test_layers_made_anew_in_a_whole_atlas_leave_the_rest(model, whole, tmp_path):
    path = tmp_path / "a.duckdb"
    path.write_bytes(whole.read_bytes())
    build(config(model, path, None, neighbours=3, keep_vectors=True, layers=(1,)), existing="add")
    found, wanted = all_rows(path), all_rows(whole)
    assert all(found[table] == wanted[table] for table in (*OF_LAYERS, "_nearest", "_redundant")) and not broken(path)
    with open_atlas(path) as atlas:
        assert atlas.query("SELECT neighbours FROM weight_run ORDER BY run_id")[1] == [(3,), (3,)]
        stored = nearest(atlas, "L0N3", limit=3)
    with open_atlas(whole) as atlas:
        assert nearest(atlas, "L0N3", limit=3).rows == stored.rows


def test_facts_that_were_measured_otherwise_do_not_stand_side_by_side(model, tmp_path):
    path, corpus = tmp_path / "a.duckdb", tmp_path / "texts.txt"
    corpus.write_text("the dog is good\n" * 4)
    built(model, path, None, decode=False, weight_facts=True, neighbours=0, mode="folded")
    again: dict[str, Any] = {"decode": False, "weight_facts": True, "layers": (1,)}
    with pytest.raises(UsageError, match="would be measured in mode folded"):
        build(config(model, path, None, **again), existing="add")
    with pytest.raises(UsageError, match="frequency of tokens in running text"):
        build(config(model, path, None, **again, mode="folded", texts=(str(corpus),)), existing="add")


def test_statistics_of_other_layers_are_missed_by_name(model, tmp_path):
    corpus = write_corpus(tmp_path / "corpus.jsonl")
    path = built(model, tmp_path / "a.duckdb", corpus, decode=False, layers=(2,), folds=0)
    with open_atlas(path) as atlas:
        (note,) = neuron_card(atlas, "L0N3").sections["concepts"].notes
        assert "no statistics of layer 0, but of layer 2" in note
        assert neuron_card(atlas, "L2N3").sections["concepts"].rows


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("DELETE FROM _decoding WHERE layer = 1 AND neuron = 4 AND weight = 'up_proj'", "every weight is decoded"),
        ("DELETE FROM _neuron_fact WHERE layer = 1 AND neuron = 4", "all neurons have facts, or none"),
    ],
)
def test_a_neuron_that_is_lost_is_missed(some, tmp_path, statement, rule):
    path = tmp_path / "a.duckdb"
    path.write_bytes(some.read_bytes())
    with duckdb.connect(str(path)) as connection:
        connection.execute(statement)
        connection.execute("DROP TABLE _digest")
    assert any(rule in name for name in broken(path))


@pytest.mark.parametrize("table", ["_decoding", "neuron_vector", "_weight_fact"])
def test_a_layer_that_is_lost_is_missed_where_no_build_left_it_out(whole, tmp_path, table):
    path = tmp_path / "a.duckdb"
    path.write_bytes(whole.read_bytes())
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"DELETE FROM {table} WHERE layer = 1")
        connection.execute("DROP TABLE _digest")
    assert any("for all neurons" in name for name in broken(path))


def test_layers_as_they_are_typed():
    assert as_text([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
