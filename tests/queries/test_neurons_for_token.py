"""Against the logits that the small atlas was made from: argsort and cosines by numpy."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.sites import WEIGHTS
from queries.neurons import neurons_for_token
from tests.atlas_factory import D_MLP, N_LAYERS, TOP, WORDS, random_logits

NORM_U = np.linspace(1.0, 2.0, len(WORDS)).astype(np.float32).astype(np.float64)
NORM_W = 20.0
DOG = {WORDS.index(word) for word in ("dog", " dog", " Dogs", "dogs")}


def places(ids, weights=tuple(WEIGHTS), signs=(1, -1)):
    """{(layer, neuron): [(weight, sign, rank, token_id, logit, cosine)]} of the tokens among the top ones."""
    found = defaultdict(list)
    for weight in weights:
        for layer in range(N_LAYERS):
            logits_NV = random_logits(weight, layer, 0)
            for neuron in range(D_MLP):
                for sign in signs:
                    order = np.argsort(-sign * logits_NV[neuron], kind="stable")[:TOP]
                    for rank, token_id in enumerate(order.tolist(), start=1):
                        if token_id in ids:
                            logit = float(logits_NV[neuron, token_id])
                            cosine = logit / (NORM_W * NORM_U[token_id])
                            found[layer, neuron].append((weight, sign, rank, token_id, logit, cosine))
    return found


def score(entries):
    return sum(entry[5] ** 2 for entry in entries)


def test_every_neuron_with_its_score_in_order(small):
    expected = places(DOG)
    result = neurons_for_token(small, "dog", limit=1000)
    assert result.truncated_by is None
    assert {(row["layer"], row["neuron"]) for row in result} == set(expected)
    for row in result:
        entries = expected[row["layer"], row["neuron"]]
        assert row["score"] == pytest.approx(score(entries), rel=1e-6)
        assert row["hits"] == len(entries)
        assert row["forms"] == len({entry[3] for entry in entries})
        assert row["address"] == f"L{row['layer']}N{row['neuron']}"
    scores = result.column("score")
    assert scores == sorted(scores, reverse=True)


def test_the_best_place_of_a_neuron(small):
    expected = places(DOG)
    for row in neurons_for_token(small, "dog", limit=1000):
        best = min(expected[row["layer"], row["neuron"]], key=lambda entry: (entry[2], -abs(entry[5])))
        weight, sign, rank, token_id, logit, cosine = best
        assert (row["weight"], row["sign"], row["rank"], row["token"]) == (
            weight,
            sign,
            rank,
            WORDS[token_id],
        )
        assert row["logit"] == pytest.approx(logit, rel=1e-6)
        assert row["cosine"] == pytest.approx(cosine, rel=1e-6)
        logits_V = sign * random_logits(weight, row["layer"], 0)[row["neuron"]].astype(np.float64)
        assert row["probability"] == pytest.approx(np.exp(sign * logit) / np.exp(logits_V).sum(), rel=1e-5)
        top = np.argsort(-logits_V, kind="stable")[:4]
        assert row["tokens"] == [WORDS[token] for token in top]


def test_the_planted_neuron_comes_first(small):
    first = neurons_for_token(small, "dogs", limit=1).dicts()[0]
    assert (first["address"], first["weight"], first["sign"], first["token"]) == (
        "L2N3",
        "gate_proj",
        1,
        " dog",
    )


@pytest.mark.parametrize("weight", list(WEIGHTS))
@pytest.mark.parametrize("sign", [1, -1])
def test_weight_and_sign_narrow(small, weight, sign):
    expected = places(DOG, (weight,), (sign,))
    result = neurons_for_token(small, "dog", weight=weight, sign=sign, limit=1000)
    assert {(row["layer"], row["neuron"]): row["hits"] for row in result} == {
        key: len(entries) for key, entries in expected.items()
    }
    assert set(result.column("weight")) == {weight}
    assert set(result.column("sign")) == {sign}
    assert all(sign * logit > 0 for logit in result.column("logit"))


def test_layer_narrows(small):
    result = neurons_for_token(small, "dog", layer=2, limit=1000)
    assert {row["neuron"] for row in result} == {neuron for layer, neuron in places(DOG) if layer == 2}


def test_exact_takes_one_token(small):
    ids = {WORDS.index(" dog")}
    result = neurons_for_token(small, " dog", exact=True, limit=1000)
    assert {(row["layer"], row["neuron"]) for row in result} == set(places(ids))


def test_the_limit_is_announced(small):
    result = neurons_for_token(small, "dog", limit=3)
    assert (len(result), result.truncated_by) == (3, "--limit")
    assert result.rows == neurons_for_token(small, "dog", limit=1000).rows[:3]


def test_refusals(small):
    with pytest.raises(UnknownNameError):
        neurons_for_token(small, "dog", weight="upproj")
    with pytest.raises(UsageError):
        neurons_for_token(small, "dog", sign=2)
    with pytest.raises(QuestionError, match="Layers run from 0 to 2"):
        neurons_for_token(small, "dog", layer=3)
