"""Agreement of two atlases against numpy and scipy, and everything that cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.spatial.distance import cosine

from atlas.answers.result import Result
from atlas.errors import QuestionError, UsageError
from atlas.manifest import Manifest
from atlas.schema.statements import Layout, macros_sql, schema_sql
from atlas.sites import WEIGHTS
from atlas.store.reader import open_atlas
from queries.cli.compare import compare as command
from queries.compare import compare
from tests.atlas_factory import D_MLP, D_MODEL, N_LAYERS, changed_by_hand, random_logits, write_small_atlas
from tests.commands import invoke

BASE_SEED, TUNED_SEED = 0, 1


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return (
        write_small_atlas(folder / "base.duckdb", seed=BASE_SEED, fingerprint="sha256:base"),
        write_small_atlas(folder / "tuned.duckdb", seed=TUNED_SEED, fingerprint="sha256:tuned"),
    )


def ask(base: Path, tuned: Path, by: str = "weight") -> Result:
    with open_atlas(base) as one, open_atlas(tuned) as other:
        return compare(one, other, by=by)


def altered(source: Path, target: Path, *statements: str) -> Path:
    """A copy of an atlas after some statements."""
    target.write_bytes(source.read_bytes())
    with changed_by_hand(target) as connection:
        for statement in statements:
            connection.execute(statement)
    return target


def expected_shares(weight: str, layer: int) -> tuple[float, float]:
    """(share of equal top tokens, its mean over all cyclic shifts: each pair of neurons meets once)."""
    one, other = (random_logits(weight, layer, seed).argmax(axis=1) for seed in (BASE_SEED, TUNED_SEED))
    shifted = [np.mean(one == np.roll(other, shift)) for shift in range(D_MLP)]
    return float(np.mean(one == other)), float(np.mean(shifted))


def test_shares_per_layer_and_weight(files: tuple[Path, Path]) -> None:
    per_layer = ask(*files, by="layer")
    assert per_layer.columns == ["weight", "layer", "neurons", "same_token", "shuffled", "mean_cosine"]
    expected = {(w, layer): expected_shares(w, layer) for w in WEIGHTS for layer in range(N_LAYERS)}
    assert [row[:3] for row in per_layer.rows] == [(w, layer, D_MLP) for w, layer in expected]
    for weight, layer, _, same, shuffled, mean_cosine in per_layer.rows:
        assert (same, shuffled) == pytest.approx(expected[weight, layer], abs=1e-12)
        assert mean_cosine is None
    assert 0 < sum(per_layer.column("shuffled"))
    per_weight = ask(*files)
    assert per_weight.columns == ["weight", "neurons", "same_token", "shuffled", "mean_cosine"]
    for weight, neurons, same, shuffled, _ in per_weight.rows:
        of_layers = np.mean([expected[weight, layer] for layer in range(N_LAYERS)], axis=0)
        assert neurons == N_LAYERS * D_MLP
        assert (same, shuffled) == pytest.approx(tuple(of_layers), abs=1e-12)
    assert any("build --vectors" in note for note in per_weight.notes)


def test_mean_cosine_of_the_vectors(files: tuple[Path, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    shape = (len(WEIGHTS), N_LAYERS, D_MLP, D_MODEL)
    vectors = [rng.normal(size=shape).astype(np.float32) for _ in files]
    vectors[1] = vectors[0] + 0.3 * vectors[1]
    paths = []
    for source, array in zip(files, vectors, strict=True):
        path = altered(source, tmp_path / source.name)
        rows = [
            (weight, layer, neuron, array[index, layer, neuron].tolist())
            for index, weight in enumerate(WEIGHTS)
            for layer in range(N_LAYERS)
            for neuron in rng.permutation(D_MLP).tolist()
        ]
        with changed_by_hand(path) as connection:
            connection.executemany("INSERT INTO neuron_vector VALUES (?, ?, ?, ?)", rows)
        paths.append(path)
    result = ask(*paths, by="layer")
    one, other = (array.astype(np.float64) for array in vectors)
    for (weight, layer), found in zip(
        ((w, layer) for w in range(len(WEIGHTS)) for layer in range(N_LAYERS)),
        result.column("mean_cosine"),
        strict=True,
    ):
        pairs = zip(one[weight, layer], other[weight, layer], strict=True)
        assert found == pytest.approx(np.mean([1 - cosine(u, v) for u, v in pairs]), rel=1e-12)
    assert result.notes == []
    overall = ask(*paths).column("mean_cosine")
    by_weight = np.array(result.column("mean_cosine")).reshape(len(WEIGHTS), N_LAYERS).mean(axis=1)
    assert overall == pytest.approx(by_weight.tolist(), rel=1e-12)


def test_vectors_in_one_atlas_only_give_no_cosine(files: tuple[Path, Path], tmp_path: Path) -> None:
    vector = str([1.0] * D_MODEL)
    half = altered(
        files[0],
        tmp_path / "half.duckdb",
        f"INSERT INTO neuron_vector SELECT weight, layer, neuron, {vector} FROM _decoding",
    )
    assert ask(half, files[1]).column("mean_cosine") == [None] * len(WEIGHTS)
    zero = altered(half, tmp_path / "zero.duckdb", f"UPDATE neuron_vector SET vector = {[0.0] * D_MODEL}")
    assert ask(half, zero).column("mean_cosine") == [0.0] * len(WEIGHTS)


def test_a_file_with_itself_and_with_its_twin(files: tuple[Path, Path], tmp_path: Path) -> None:
    itself = ask(files[0], files[0])
    assert itself.column("same_token") == [1.0] * len(WEIGHTS)
    assert "both are the same file" in itself.notes
    twin = altered(files[0], tmp_path / "twin.duckdb")
    assert any("same weights" in note for note in ask(files[0], twin).notes)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE atlas SET decoding_mode = 'folded'", "decoding_mode: raw and folded"),
        ("UPDATE vocab SET token = 'hound' WHERE token = 'dog'", "different vocabularies"),
        ("UPDATE vocab SET token_id = 1 - token_id WHERE token_id < 2", "different vocabularies"),
        ("DELETE FROM vocab WHERE token_id = 39", "different vocabularies"),
        ("DELETE FROM _decoding WHERE weight = 'gate_proj'", "different weights"),
        ("DELETE FROM _decoding", "different weights: .* and nothing"),
        ("DELETE FROM _decoding WHERE weight = 'up_proj' AND layer = 1 AND neuron = 15", "different neurons"),
    ],
)
def test_what_cannot_be_compared(files: tuple[Path, Path], tmp_path: Path, statement: str, reason: str) -> None:
    other = altered(files[1], tmp_path / "other.duckdb", statement)
    with pytest.raises(QuestionError, match=reason) as caught:
        ask(files[0], other)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("d_model", 9, "d_model: 8 and 9"), ("n_layers", 2, "n_layers"), ("d_mlp", 32, "d_mlp")],
)
def test_models_of_other_sizes(files: tuple[Path, Path], tmp_path: Path, field: str, value: int, reason: str) -> None:
    with open_atlas(files[1]) as atlas:
        manifest = atlas.manifest._replace(**{field: value})
    layout = Layout(manifest.top, manifest.bins, manifest.d_model, manifest.n_layers, manifest.d_mlp)
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute(schema_sql(layout) + macros_sql(layout))
        columns = Manifest.columns()
        connection.execute(
            f"INSERT INTO atlas ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", manifest.row()
        )
    with pytest.raises(QuestionError, match=reason) as caught:
        ask(files[0], other)
    assert caught.value.hint


def test_two_atlases_without_decodings(files: tuple[Path, Path], tmp_path: Path) -> None:
    bare = altered(files[0], tmp_path / "bare.duckdb", "DELETE FROM _decoding")
    with pytest.raises(QuestionError, match="neither"):
        ask(bare, bare)


def test_an_unknown_grouping(files: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="neuron"):
        ask(*files, by="neuron")


def test_the_command_answers_as_the_function(files: tuple[Path, Path]) -> None:
    done = invoke(command, [str(files[0]), str(files[1]), "--by", "layer", "--format", "json"], catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(done.stdout) == ask(*files, by="layer").dicts()
    assert "vectors" in done.stderr
