"""Nearest neurons against float64 numpy over all vectors."""

from __future__ import annotations

import numpy as np
import pytest

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.store.reader import open_atlas
from queries import nearest as question
from queries.nearest import nearest
from queries.session.session import Session, session_of
from tests.atlas_factory import D_MLP, D_MODEL, N_LAYERS, WORDS, changed_by_hand, random_logits, write_small_atlas


def vectors() -> np.ndarray:
    """[N, D] of down_proj: random, one zero, three that differ by less than float32 tells in a product."""
    vector_ND = np.random.default_rng(3).normal(size=(N_LAYERS * D_MLP, D_MODEL)).astype(np.float32)
    vector_ND[5] = 0
    for n, step in ((9, 2), (20, 1), (33, 3)):
        vector_ND[n] = vector_ND[7]
        vector_ND[n, 0] = np.nextafter(vector_ND[7, 0], np.float32(9)) + step * np.float32(1e-6)
    return vector_ND


@pytest.fixture(scope="module")
def with_vectors(tmp_path_factory):
    path = write_small_atlas(tmp_path_factory.mktemp("vectors") / "a.duckdb")
    rows = [["down_proj", *divmod(n, D_MLP), vector.tolist()] for n, vector in enumerate(vectors())]
    with changed_by_hand(path) as connection:
        connection.executemany("INSERT INTO neuron_vector VALUES (?, ?, ?, ?)", rows)
    with open_atlas(path) as atlas:
        yield atlas


def expected(n: int) -> list[tuple[int, float]]:
    """(row, cosine), nearest first, without itself and the zero vector."""
    vector_ND = vectors().astype(np.float64)
    with np.errstate(invalid="ignore"):
        cosine_N = vector_ND @ vector_ND[n] / (np.linalg.norm(vector_ND, axis=1) * np.linalg.norm(vector_ND[n]))
    order = sorted((i for i in range(len(cosine_N)) if i not in (n, 5)), key=lambda i: -cosine_N[i])
    return [(i, cosine_N[i]) for i in order]


@pytest.mark.parametrize("patience", [10**9, 0], ids=["from the file", "from memory"])
@pytest.mark.parametrize("n", [7, 20, 40])
@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_the_order_and_the_cosines(with_vectors, monkeypatch, patience, n, limit):
    monkeypatch.setattr(question, "_PATIENCE", patience)
    monkeypatch.setattr(with_vectors, "session", Session(with_vectors))
    result = nearest(with_vectors, "L{}N{}".format(*divmod(n, D_MLP)), limit=limit)
    assert (session_of(with_vectors).get(("directions", "down_proj")) is not None) == (patience == 0)
    due = expected(n)[:limit]
    assert list(zip(result.column("layer"), result.column("neuron"), strict=True)) == [divmod(i, D_MLP) for i, _ in due]
    assert result.column("cosine") == pytest.approx([cosine for _, cosine in due], abs=1e-12)


def test_tokens_are_what_the_neighbour_raises_most(with_vectors):
    for row in nearest(with_vectors, "L0N7", limit=5):
        logits_V = random_logits("down_proj", row["layer"], 0)[row["neuron"]]
        assert row["tokens"] == [WORDS[i] for i in np.argsort(-logits_V, kind="stable")[:4]]


def test_refusals(with_vectors, small):
    with pytest.raises(QuestionError, match="no vectors of down_proj") as caught:
        nearest(small, "L0N1")
    assert "--vectors" in caught.value.hint
    with pytest.raises(QuestionError, match="no vectors of up_proj"):
        nearest(with_vectors, "L0N1", weight="up_proj")
    with pytest.raises(QuestionError, match="is zero and has no direction"):
        nearest(with_vectors, "L0N5")
    with pytest.raises(QuestionError):
        nearest(with_vectors, "L9N5")
    with pytest.raises(UnknownNameError):
        nearest(with_vectors, "L0N1", weight="down")
    with pytest.raises(UsageError):
        nearest(with_vectors, "L0N1", limit=0)
