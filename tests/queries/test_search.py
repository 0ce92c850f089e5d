"""Search by the tokens of words, and among vectors, against brute force over what the atlas says in public."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from atlas.errors import AtlasFileError, QuestionError, UnknownNameError, UsageError
from atlas.store.reader import Atlas, open_atlas
from queries.search import search
from queries.session.vectors import embedder_of
from queries.wordforms import word_forms
from tests.atlas_factory import D_MLP, N_LAYERS, changed_by_hand, write_small_atlas

SIDES = {"up_proj": "input", "gate_proj": "input", "down_proj": "output"}
DIMENSIONS = 12


def by_brute_force(atlas: Atlas, words: list[str], side: str | None) -> list[tuple[float, int, int]]:
    """(score, layer, neuron), best first, from the view token_decoding."""
    _, rows = atlas.query("SELECT weight::VARCHAR, layer, neuron, token, cosine::DOUBLE FROM token_decoding")
    scores: dict[tuple[int, int], float] = {}
    for word in words:
        forms = set(word_forms(word))
        found = [
            ((layer, neuron), cosine)
            for weight, layer, neuron, token, cosine in rows
            if token.strip().lower() in forms and side in (None, SIDES[weight])
        ]
        idf = math.log(N_LAYERS * D_MLP / max(1, len({place for place, _ in found})))
        for place, cosine in found:
            scores[place] = scores.get(place, 0.0) + idf * cosine**2
    return sorted(((score, *place) for place, score in scores.items()), key=lambda row: (-row[0], row[1:]))


@pytest.mark.parametrize("side", [None, "input", "output"])
@pytest.mark.parametrize(
    ("text", "words"), [("Dogs and cats", ["dogs", "cats"]), ("money!", ["money"]), ("the", ["the"])]
)
def test_words_are_found_by_rarity_and_cosines(small: Atlas, text: str, words: list[str], side: str | None) -> None:
    found = search(small, text, side=side, limit=7)
    due = by_brute_force(small, words, side)[:7]
    assert [(row["layer"], row["neuron"]) for row in found] == [row[1:] for row in due]
    np.testing.assert_allclose(found.column("score"), [row[0] for row in due], rtol=1e-5)
    assert side is None or set(found.column("side")) == {side}
    assert all(row["words"] and set(row["words"]) <= set(words) for row in found)
    assert found.notes[0] == f"searched by the tokens of {', '.join(words)}, not by meaning"


def test_what_is_shown_beside_a_neuron_is_its_own(small: Atlas) -> None:
    row = next(iter(search(small, "dog", side="input")))
    assert (row["address"], row["tokens"][0], row["description"]) == ("L2N3", " dog", None)


def test_words_without_a_token_are_said(small: Atlas) -> None:
    found = search(small, "dogs and platypuses")
    assert found.rows and "no single token for platypuses" in found.notes
    with pytest.raises(UnknownNameError, match="platypus"):
        search(small, "platypus")


@pytest.mark.parametrize("text", ["", "  ", "x" * 1001, "!?", " ".join(f"w{i}" for i in range(40))])
def test_no_searches(small: Atlas, text: str) -> None:
    with pytest.raises(UsageError):
        search(small, text)


def test_other_refusals(small: Atlas) -> None:
    with pytest.raises(UsageError, match="side"):
        search(small, "dog", side="inside")
    with pytest.raises(UsageError):
        search(small, "dog", limit=0)
    with pytest.raises(QuestionError, match="nothing is embedded"):
        search(small, "dog", embed=lambda text: [1.0])
    assert embedder_of(small) is None


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two described sides of every neuron, each with a random unit vector."""
    path = write_small_atlas(tmp_path_factory.mktemp("embedded") / "a.duckdb", intervals=False)
    rng = np.random.default_rng(3)
    with changed_by_hand(path) as connection:
        for layer in range(N_LAYERS):
            for neuron in range(D_MLP):
                for side, sign in (("input", 1), ("output", -1)):
                    vector = rng.normal(size=DIMENSIONS)
                    unit = (vector / np.linalg.norm(vector)).astype("<f2").tobytes()
                    key = [layer, neuron, side, sign, "tokens"]
                    connection.execute(
                        "INSERT INTO description BY NAME SELECT ? AS layer, ? AS neuron, ? AS side, ? AS sign, "
                        "? AS author, ? AS text, 'decodings' AS evidence, 'mlp_post' AS site, now() AS created_at",
                        [*key, f"Of L{layer}N{neuron}, {side}."],
                    )
                    connection.execute("INSERT INTO _embedding VALUES (?, ?, ?, ?, ?, 'local:x', ?)", [*key, unit])
    return path


@pytest.mark.parametrize("side", [None, "input", "output"])
@pytest.mark.parametrize("limit", [1, 5, 100])
def test_the_nearest_vectors_are_found(embedded: Path, side: str | None, limit: int) -> None:
    query = np.random.default_rng(8).normal(size=DIMENSIONS)
    with open_atlas(embedded) as atlas:
        found = search(atlas, "anything", side=side, limit=limit, embed=lambda text: list(query))
        _, rows = atlas.query("SELECT layer, neuron, side, sign, vector FROM _embedding")
    best: dict[tuple[int, int], tuple[float, str, int]] = {}
    for layer, neuron, of, sign, blob in rows:
        cosine = float(np.frombuffer(blob, "<f2").astype(float) @ query / np.linalg.norm(query))
        if side in (None, of) and cosine > best.get((layer, neuron), (-2.0, "", 0))[0]:
            best[layer, neuron] = (cosine, of, sign)
    due = sorted(best.items(), key=lambda item: -item[1][0])[:limit]
    assert [(row["layer"], row["neuron"], row["side"], row["sign"]) for row in found] == [
        (*place, of, sign) for place, (_, of, sign) in due
    ]
    np.testing.assert_allclose(found.column("score"), [cosine for _, (cosine, *_) in due], atol=1e-6)
    assert all(row["description"] == f"Of {row['address']}, {row['side']}." for row in found)
    assert found.notes == ["by cosine to 96 descriptions, embedded by local:x"]


@pytest.mark.parametrize("vector", [[1.0] * (DIMENSIONS - 1), [0.0] * DIMENSIONS, [math.nan] * DIMENSIONS, []])
def test_vectors_that_find_nothing(embedded: Path, vector: list[float]) -> None:
    with open_atlas(embedded) as atlas, pytest.raises(QuestionError):
        search(atlas, "anything", embed=lambda text: vector)


def test_embeddings_of_unequal_length_are_damage(embedded: Path, tmp_path: Path) -> None:
    path = shutil.copy(embedded, tmp_path / "a.duckdb")
    with changed_by_hand(path) as connection:
        connection.execute("UPDATE _embedding SET vector = vector[1:4] WHERE layer = 1 AND neuron = 2")
    with open_atlas(path) as atlas, pytest.raises(AtlasFileError):
        search(atlas, "anything", embed=lambda text: [1.0] * DIMENSIONS)
