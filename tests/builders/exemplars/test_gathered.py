"""Looking up candidates of lists: few one by one, many a text at a time; and quantiles of bins; all against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.schema.exemplar_tables import PROBABILITIES
from builders.exemplars.rows import quantiles
from builders.exemplars.seen import gathered
from builders.exemplars.tally import SIDE, edges

PLACES = [np.arange(1, 9), np.array([0, 2]), np.array([3, 4, 5]), np.array([1, 2, 4, 7])]


@pytest.mark.parametrize("share", [0.05, 0.9])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.bool])
def test_candidates_are_gathered_from_the_rows_of_their_texts(share, kind):
    rng = np.random.default_rng(0)
    length, width = 9, 300
    each_RN = (torch.randn(len(PLACES) * length, width) > 0) if kind is torch.bool else torch.randn(36, width).to(kind)
    longest = max(map(len, PLACES))
    rows_BP = np.stack([np.append(each, np.repeat(each[-1], longest - len(each))) for each in PLACES])
    rows_BP = rows_BP + length * np.arange(len(PLACES))[:, None]
    texts_C, neurons_C = np.nonzero(rng.random((len(PLACES), width)) < share)
    found_CP = gathered(each_RN, rows_BP, texts_C, neurons_C)
    assert found_CP.dtype is kind
    for text, neuron, found_P in zip(texts_C, neurons_C, found_CP, strict=True):
        for at, row in enumerate(rows_BP[text]):
            assert found_P[at] == each_RN[row, neuron]


def test_quantiles_are_those_of_a_search_neuron_by_neuron():
    rng = np.random.default_rng(0)
    bins_NF = np.zeros((40, 2 * SIDE), np.int64)
    for neuron in range(40):
        some = rng.choice(2 * SIDE, rng.integers(1, 30), replace=False)
        bins_NF[neuron, some] = rng.integers(1, 5, len(some))
    bins_NF[0] = 0
    bins_NF[0, 7] = 1
    probabilities = np.asarray(PROBABILITIES)
    edge, low_N, high_N = edges(), np.full(40, -1e6), np.full(40, 1e6)
    found_NP = quantiles(bins_NF, low_N, high_N)
    for neuron in range(40):
        spans = [(edge[at], edge[at + 1], n) for at, n in enumerate(bins_NF[neuron, :SIDE])]
        spans += [(-edge[at + 1], -edge[at], n) for at, n in enumerate(bins_NF[neuron, SIDE:])]
        values = []  # the middles of as many equal parts of a bin as it has values
        for low, high, n in sorted(spans):
            values += [low + (high - low) * (index + 0.5) / n for index in range(n)]
        ranks = np.maximum(np.ceil(probabilities[1:-1] * len(values) - 1e-9), 1).astype(int)
        np.testing.assert_allclose(found_NP[neuron, 1:-1], np.asarray(values)[ranks - 1], rtol=1e-6)
