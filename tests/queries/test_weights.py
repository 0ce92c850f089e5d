"""Questions about facts of weights: the card, info, rankings, stored nearest neurons, tokens weighed by commonness."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.schema.weight_measures import ALL, VECTOR, WEIGHT_MEASURES
from atlas.schema.weight_tables import WEIGHT_TABLES
from atlas.store.reader import Atlas, open_atlas
from queries.card import neuron_card
from queries.distinctive import Commonness
from queries.info import info
from queries.layers import layer_tokens
from queries.nearest import nearest
from queries.neurons import neurons_for_token
from queries.session import resident
from queries.session.session import Session, session_of
from queries.weights import neurons_by_weights
from tests.atlas_factory import changed_by_hand
from tests.builders.weights.planted import COPY, ENRICHMENT, ZERO, planted_model
from tests.end_to_end.workbench import built

K, WIDTH, N_LAYERS = 4, 32, 3


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("facts")
    return built(planted_model(folder / "model"), folder / "a.duckdb", None, neighbours=K, keep_vectors=True)


@pytest.fixture(scope="module")
def atlas(path: Path):
    with open_atlas(path) as atlas:
        yield atlas


@pytest.fixture
def without_vectors(path: Path, tmp_path: Path):
    copy = tmp_path / "b.duckdb"
    copy.write_bytes(path.read_bytes())
    with changed_by_hand(copy) as connection:
        connection.execute("DELETE FROM neuron_vector")
    with open_atlas(copy) as atlas:
        yield atlas


def test_measures_are_columns_of_their_tables():
    facts, neurons = ({column.name for column in table.columns} for table in WEIGHT_TABLES[:2])
    run = {column.name for column in WEIGHT_TABLES[-1].columns}
    for measure in ALL:
        assert measure.name in (facts if measure.table == VECTOR else neurons), measure.name
        assert not measure.random or measure.random in run, measure.name
    assert {"weight", "layer", "neuron"} == facts - WEIGHT_MEASURES.keys()
    assert {"layer", "neuron", "io_class"} == neurons - WEIGHT_MEASURES.keys()


def test_the_card(atlas: Atlas):
    (copied,) = [address for address in COPY if address.startswith("L2")]
    card = neuron_card(atlas, copied)
    assert card.sections["weights"].column("weight") == ["up_proj", "gate_proj", "down_proj"]
    layer, neuron = 2, 7
    _, due = atlas.query(
        "SELECT * EXCLUDE (layer, neuron) FROM weight_fact WHERE layer = ? AND neuron = ? ORDER BY weight",
        [layer, neuron],
    )
    assert card.sections["weights"].rows == due
    columns, [due] = atlas.query("SELECT * FROM neuron_fact WHERE layer = ? AND neuron = ?", [layer, neuron])
    (found,) = card.sections["io"].dicts()
    assert found == {name: value for name, value in zip(columns, due, strict=True) if name not in ("layer", "neuron")}
    assert found["redundant_neurons"] == 2
    first, second = card.sections["io"].notes
    _, [(null_95,)] = atlas.query("SELECT random_cosine_95 FROM weight_run")
    assert f"|cosine| of two {null_95:.2g}" in first and "of random vectors of 16 numbers" in first
    assert "the 1 directions" in second and "token frequency from token ids, 70 tokens" in second
    (zero,) = neuron_card(atlas, ZERO).sections["io"].dicts()
    assert zero["io_class"] is None and zero["redundant_group"] is None


def test_an_atlas_without_them_says_how_to_add_them(small: Atlas):
    card = neuron_card(small, "L0N0")
    assert card.sections["weights"].rows == card.sections["io"].rows == []
    assert card.sections["io"].notes == [
        "no facts of weights here: `neuron-atlas build --add --weight-facts` adds them"
    ]
    with pytest.raises(QuestionError, match="no cosine_kurtosis of down_proj") as caught:
        neurons_by_weights(small)
    assert "--weight-facts" in caught.value.hint
    sections = info(small).sections
    assert sections["weights"].rows == sections["io_classes"].rows == []
    assert "--weight-facts" in sections["weights"].notes[0]


def test_info(atlas: Atlas):
    sections = info(atlas).sections
    _, classes = atlas.query("SELECT io_class FROM neuron_fact WHERE io_class IS NOT NULL")
    counted = {name: len([1 for (each,) in classes if each == name]) for (name,) in classes}
    assert {row["io_class"]: row["neurons"] for row in sections["io_classes"]} == counted
    assert sum(sections["io_classes"].column("share")) == pytest.approx(1)
    assert sections["weights"].column("null_directions") == [1]
    rows = dict(sections["rows"].rows)
    assert (rows["weight_fact"], rows["neuron_fact"]) == (3 * N_LAYERS * WIDTH, N_LAYERS * WIDTH)
    _, [(pairs,)] = atlas.query("SELECT count(*) FROM nearest_neuron")
    assert rows["nearest_neuron"] == pairs


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("by", list(WEIGHT_MEASURES))
def test_rankings(atlas: Atlas, by: str, ascending: bool):
    found = neurons_by_weights(atlas, by=by, weight="up_proj", ascending=ascending, limit=1000)
    table = "weight_fact" if WEIGHT_MEASURES[by].table == VECTOR else "neuron_fact"
    where = "WHERE weight = 'up_proj'" if table == "weight_fact" else ""
    _, rows = atlas.query(f"SELECT {by}, layer, neuron FROM {table} {where}")
    due = sorted(
        (row for row in rows if row[0] is not None), key=lambda row: (row[0] if ascending else -row[0], row[1:])
    )
    assert [(row[by], row["layer"], row["neuron"]) for row in found] == due
    assert found.notes[0].startswith(f"by {by}{' of up_proj' if table == 'weight_fact' else ''}, ")
    assert ("of random vectors 95 % reach" in found.notes[0]) is bool(WEIGHT_MEASURES[by].random)
    first = next(iter(found))
    _, tokens = atlas.query(
        "SELECT token FROM neuron_tokens(?, ?) WHERE weight = 'up_proj' AND sign = 1 AND rank <= 4 ORDER BY rank",
        [first["layer"], first["neuron"]],
    )
    assert first["tokens"] == [token for (token,) in tokens]


def test_rankings_are_narrowed_and_refused(atlas: Atlas):
    found = neurons_by_weights(atlas, by="null_share", io_class="enrichment", limit=1000)
    assert ENRICHMENT in found.column("address") and set(found.column("io_class")) == {"enrichment"}
    cut = neurons_by_weights(atlas, layer=1, limit=3)
    assert set(cut.column("layer")) == {1} and cut.truncated_by == "--limit" and len(cut) == 3
    assert neurons_by_weights(atlas, io_class="atypical conditional enrichment", layer=2, limit=3).rows == []
    for wrong, kind in (
        ({"by": "kurtosis"}, UnknownNameError),
        ({"by": "neuron) --"}, UnknownNameError),
        ({"io_class": "enriching"}, UnknownNameError),
        ({"weight": "down"}, UnknownNameError),
        ({"layer": 3}, QuestionError),
        ({"limit": 0}, UsageError),
    ):
        with pytest.raises(kind):
            neurons_by_weights(atlas, **wrong)


@pytest.mark.parametrize("among", ["all", "layer", "others"])
@pytest.mark.parametrize("weight", ["up_proj", "down_proj"])
def test_stored_nearest_neurons_are_those_of_the_vectors(atlas: Atlas, without_vectors: Atlas, weight: str, among: str):
    for address in ("L0N0", "L1N31", *COPY):
        stored = nearest(without_vectors, address, weight=weight, among=among, limit=1000)
        due = nearest(atlas, address, weight=weight, among=among, limit=1000)
        assert len(due) > len(stored) >= K
        assert stored.column("address") == due.column("address")[: len(stored)]
        assert stored.column("cosine") == pytest.approx(due.column("cosine")[: len(stored)], abs=1e-7)
        assert (
            stored.notes[1] == f"the {len(stored)} nearest are stored; `neuron-atlas build --add --vectors` tells all"
        )
        assert [row["tokens"] for row in stored] == due.column("tokens")[: len(stored)]
        own = int(address[1])
        if among != "all":
            assert {layer == own for layer in due.column("layer")} == {among == "layer"}
        few = nearest(without_vectors, address, weight=weight, among=among, limit=2)
        assert few.column("address") == due.column("address")[:2] and len(few.notes) == 1


def test_nearest_refuses(atlas: Atlas, without_vectors: Atlas):
    for each in (atlas, without_vectors):
        with pytest.raises(QuestionError, match=f"down_proj of {ZERO} is zero"):
            nearest(each, ZERO)
        with pytest.raises(UnknownNameError):
            nearest(each, "L0N0", among="layers")
    assert len(nearest(atlas, "L0N0", weight="gate_proj")) == 20
    with pytest.raises(QuestionError, match="no vectors of gate_proj"):
        nearest(without_vectors, "L0N0", weight="gate_proj")


def commonness(atlas: Atlas) -> tuple[dict[int, int], int]:
    """(token -> lists that hold it, lists) from the lists themselves."""
    _, rows = atlas.query("SELECT raised_token, lowered_token FROM _decoding")
    places: dict[int, int] = {}
    for lists in rows:
        for listed in lists:
            for token_id in listed:
                places[token_id] = places.get(token_id, 0) + 1
    return places, 2 * len(rows)


def test_how_common_a_token_is(small: Atlas):
    places, lists = commonness(small)
    _, rows = small.query("SELECT * FROM token_places")
    assert {token_id: (count, pytest.approx(told)) for token_id, count, told in rows} == {
        token_id: (count, math.log(lists / count)) for token_id, count in places.items()
    }


@pytest.mark.parametrize(("layer", "weight", "sign"), [(0, None, 1), (2, "gate_proj", -1)])
def test_a_layer_weighed(small: Atlas, layer: int, weight: str | None, sign: int):
    places, lists = commonness(small)
    plain = layer_tokens(small, layer, weight=weight, sign=sign, limit=1000).dicts()
    found = layer_tokens(small, layer, weight=weight, sign=sign, distinctive=True, limit=1000)
    told = {
        row["token_id"]: row["places"] * math.log(row["share"] / (places[row["token_id"]] / lists)) for row in plain
    }
    assert found.column("token_id") == sorted(told, key=lambda token_id: (-round(told[token_id], 9), token_id))
    for row in found:
        assert row["score"] == pytest.approx(told[row["token_id"]], rel=1e-9, abs=1e-9)
        assert row["all_share"] == places[row["token_id"]] / lists
        assert {name: row[name] for name in plain[0]} in plain
    assert found.notes[0].startswith("ordered by score: places times ln(share / all_share)")
    cut = layer_tokens(small, layer, weight=weight, sign=sign, distinctive=True, limit=2)
    assert cut.rows == found.rows[:2] and cut.truncated_by == "--limit"


@pytest.mark.parametrize("kept", [False, True], ids=["from the file", "from memory"])
@pytest.mark.parametrize("options", [{}, {"weight": "down_proj", "sign": 1}, {"layer": 1, "limit": 4}])
def test_words_weighed(small: Atlas, monkeypatch, kept: bool, options: dict):
    monkeypatch.setattr(small, "session", Session(small))
    monkeypatch.setattr(resident, "_PATIENCE", 0 if kept else 10**9)
    words, wanted = ["dog", "the", " of"], {"limit": 1000, **options}
    places, lists = commonness(small)
    plain = neurons_for_token(small, words, **{**wanted, "limit": 1000})
    found = neurons_for_token(small, words, distinctive=True, **wanted)
    assert (session_of(small).get("resident") is not None) is kept
    _, rows = small.query("SELECT layer, neuron, weight, sign, token, token_id, cosine FROM token_decoding")
    asked = {"dog", " dog", "dogs", " Dogs", " the", " of"}
    due: dict[tuple[int, int], float] = {}
    for layer, neuron, weight, sign, token, token_id, cosine in rows:
        if token not in asked or wanted.get("layer", layer) != layer:
            continue
        if wanted.get("weight", weight) != weight or wanted.get("sign", sign) != sign:
            continue
        told = math.log(lists / places[token_id]) * cosine**2
        due[layer, neuron] = due.get((layer, neuron), 0) + told
    assert {(row["layer"], row["neuron"]) for row in plain} == due.keys()
    assert [row["score"] for row in found] == pytest.approx(sorted(due.values(), reverse=True)[: len(found)], rel=1e-5)
    for row in found:
        assert row["score"] == pytest.approx(due[row["layer"], row["neuron"]], rel=1e-5)
    assert found.notes == ["each token weighed by ln(all token lists / those that hold it)"] and not plain.notes
    scores = dict(zip(plain.column("address"), plain.column("score"), strict=True))
    assert any(scores[row["address"]] != row["score"] for row in found)


def test_a_token_of_many_lists_of_a_large_model_keeps_its_score():
    places_V, all_V = np.array([14_000, 3, 0], np.int32), np.array([90_000, 3, 5], np.int32)
    found_V = Commonness(all_V, 2_752_512).surplus(places_V, 14_336)
    for token in (0, 1):
        share, all_share = Fraction(int(places_V[token]), 14_336), Fraction(int(all_V[token]), 2_752_512)
        assert found_V[token] == pytest.approx(int(places_V[token]) * math.log(share / all_share), rel=1e-12)
    assert found_V[2] == -math.inf
