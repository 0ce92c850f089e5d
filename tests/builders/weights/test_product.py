"""Facts of weights in a built atlas against float64 numpy over the model's own weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from atlas.errors import UsageError
from atlas.sites import WEIGHTS
from atlas.store.reader import open_atlas
from atlas.store.verify import checks_of
from builders.build.pipeline import build
from tests.builders.weights.planted import COPY, DEPLETION, ENRICHMENT, ZERO, planted_model, weights_of
from tests.end_to_end.workbench import all_rows, built, config

N_LAYERS, WIDTH, K = 3, 32, 5
OF_WEIGHTS = ("_weight_fact", "_neuron_fact", "_nearest", "_redundant")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_model(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module", params=["raw", "folded"])
def mode(request: pytest.FixtureRequest) -> str:
    mode: str = request.param
    return mode


@pytest.fixture(scope="module")
def atlas_file(model: Path, mode: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(model, tmp_path_factory.mktemp("atlas") / "a.duckdb", None, mode=mode, neighbours=K)


def rows_of(path: Path, sql: str) -> list[dict]:
    with open_atlas(path) as atlas:
        columns, rows = atlas.query(sql)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def place(address: str) -> tuple[int, int]:
    layer, neuron = address[1:].split("N")
    return int(layer), int(neuron)


def test_moments_of_cosines(atlas_file: Path, model: Path, mode: str) -> None:
    weights, u, gain = weights_of(model)
    tokens = [row["token_id"] for row in rows_of(atlas_file, "SELECT token_id FROM vocab ORDER BY 1")]
    found = rows_of(atlas_file, "SELECT * FROM weight_fact ORDER BY weight, layer, neuron")
    assert len(found) == 3 * N_LAYERS * WIDTH
    for row in found:
        w = weights[row["weight"]][row["layer"], row["neuron"]]
        assert row["norm"] == pytest.approx(np.linalg.norm(w), rel=1e-6)
        measured = [row[f"cosine_{name}"] for name in ("mean", "std", "skewness", "kurtosis")]
        if not w.any():
            assert measured == [None] * 4
            continue
        c = cosine(u[tokens], w * gain if mode == "folded" else w)
        assert measured == pytest.approx([c.mean(), c.std(), stats.skew(c), stats.kurtosis(c)], rel=1e-4, abs=1e-5)


def test_facts_of_neurons(atlas_file: Path, model: Path, mode: str) -> None:
    weights, u, gain = weights_of(model)
    tokens = [row["token_id"] for row in rows_of(atlas_file, "SELECT token_id FROM vocab ORDER BY 1")]
    (run,) = rows_of(atlas_file, "SELECT * FROM weight_run")
    assert (run["mode"], run["null_directions"], run["neighbours"]) == (mode, 1, K)
    assert run["frequency_source"] == "token ids" and run["frequency_tokens"] == len(tokens) - 4  # special ones
    seen = u[tokens] * (gain if mode == "folded" else 1)
    _, singular, right = np.linalg.svd(seen - seen.mean(0), full_matrices=False)
    assert run["singular_values"] == pytest.approx(singular[::-1], rel=1e-5)
    frequency = -np.log(np.arange(1, len(tokens) - 3))  # the four special tokens come first
    down, up, gate = (weights[name] for name in ("down_proj", "up_proj", "gate_proj"))
    pairs = {"cos_in_out": (up, down), "cos_gate_out": (gate, down), "cos_gate_in": (gate, up)}
    found = rows_of(atlas_file, "SELECT * FROM neuron_fact ORDER BY layer, neuron")
    assert len(found) == N_LAYERS * WIDTH
    for row in found:
        at = row["layer"], row["neuron"]
        if at == place(ZERO):
            assert row["cos_gate_in"] == pytest.approx(float(cosine(gate[at], up[at])), abs=1e-6)
            names = "cos_in_out cos_gate_out io_class null_share frequency_correlation".split()
            assert {row[name] for name in names} == {None}
            continue
        for name, (a, b) in pairs.items():
            assert row[name] == pytest.approx(float(cosine(a[at], b[at])), abs=1e-6)
        assert row["null_share"] == pytest.approx((right[-1] @ down[at]) ** 2 / (down[at] @ down[at]), abs=1e-6)
        due = np.corrcoef((seen @ down[at])[4:], frequency)[0, 1]
        assert row["frequency_correlation"] == pytest.approx(due, abs=1e-6)
    by_place = {(row["layer"], row["neuron"]): row for row in found}
    assert by_place[place(ENRICHMENT)]["io_class"] == "enrichment"
    assert by_place[place(DEPLETION)]["io_class"] == "depletion"
    groups = {}
    for at, row in by_place.items():
        if row["redundant_group"] is not None:
            groups.setdefault((row["redundant_group"], row["redundant_neurons"]), set()).add(at)
    assert groups == {(i, 2): {place(a), place(b)} for i, (a, b) in enumerate(sorted(COPY.items(), key=lambda x: x[1]))}


def test_nearest_neurons(atlas_file: Path, model: Path) -> None:
    weights, _, _ = weights_of(model)
    found = rows_of(atlas_file, "SELECT * FROM nearest_neuron")
    lists: dict[tuple, list[tuple]] = {}
    for row in sorted(found, key=lambda row: row["rank"]):
        key = (row["weight"], row["layer"], row["neuron"], row["same_layer"])
        lists.setdefault(key, []).append((row["cosine"], row["near_layer"], row["near_neuron"]))
    assert {key[0] for key in lists} == {"up_proj", "down_proj"}
    assert len(lists) == (N_LAYERS * WIDTH * 2 - 1) * 2  # the zero vector has no neighbours
    for (weight, layer, neuron, same), listed in lists.items():
        w = weights[weight]
        c = cosine(w, w[layer, neuron])
        c[layer, neuron] = np.nan
        others = np.delete(np.arange(N_LAYERS), layer)
        c[others if same else layer] = np.nan
        order = [at for at in np.argsort(-c, axis=None, kind="stable") if not np.isnan(c.flat[at])][:K]
        assert [value for value, *_ in listed] == pytest.approx(c.flat[order], abs=1e-6)
        assert [at for _, *at in listed] == [list(divmod(at, WIDTH)) for at in order]


def test_a_whole_file(atlas_file: Path) -> None:
    assert [check for check in checks_of(atlas_file) if check.result != "ok"] == []


def test_one_can_do_without_and_add_them_later(model: Path, mode: str, atlas_file: Path, tmp_path: Path) -> None:
    target = built(model, tmp_path / "a.duckdb", None, mode=mode, weight_facts=False)
    before = all_rows(target)
    assert not any(before[table] for table in (*OF_WEIGHTS, "weight_run"))
    if mode == "folded":
        with pytest.raises(UsageError, match="is decoded in mode folded, not raw"):
            build(config(model, target, None, decode=False, weight_facts=True), existing="add")
    build(config(model, target, None, mode=mode, decode=False, weight_facts=True, neighbours=K), existing="add")
    after, whole = all_rows(target), all_rows(atlas_file)
    for table, rows in before.items():
        if table not in (*OF_WEIGHTS, "weight_run", "run", "_digest"):
            assert after[table] == rows, table
    # Beside the decoding or in its pass, they are the same.
    for table in OF_WEIGHTS:
        assert after[table] == whole[table], table
    parameters = json.loads(after["run"][-1][2])
    assert (after["run"][-1][1], parameters) == ("weights", {"mode": mode, "neighbours": K, "cosines": True})


def test_a_second_run_replaces_the_first(model: Path, tmp_path: Path) -> None:
    target = built(model, tmp_path / "a.duckdb", None, weights=("down_proj",), neighbours=2)
    assert {row["weight"] for row in rows_of(target, "SELECT DISTINCT weight::VARCHAR AS weight FROM weight_fact")} == {
        "down_proj"
    }
    build(config(model, target, None, weights=("up_proj",), neighbours=0), existing="add")
    after = all_rows(target)
    assert len(after["_weight_fact"]) == 2 * N_LAYERS * WIDTH
    assert len(after["_neuron_fact"]) == N_LAYERS * WIDTH and len(after["weight_run"]) == 2
    assert after["_nearest"] == after["_redundant"] == []
    # Decoded in another mode, the old moments go.
    build(config(model, target, None, mode="folded", weight_facts=False), existing="add")
    after = all_rows(target)
    assert not after["_weight_fact"] and len(after["_decoding"]) == len(WEIGHTS) * N_LAYERS * WIDTH


def test_facts_alone(model: Path, tmp_path: Path) -> None:
    target = built(model, tmp_path / "a.duckdb", None, decode=False, weight_facts=True)
    after = all_rows(target)
    assert len(after["_weight_fact"]) == 3 * N_LAYERS * WIDTH and not after["_decoding"]
    with pytest.raises(UsageError, match="--neighbours 1001 is outside 0 to 1000"):
        config(model, target, None, neighbours=1001)
    with pytest.raises(UsageError, match="nothing to build"):
        config(model, target, None, decode=False)
