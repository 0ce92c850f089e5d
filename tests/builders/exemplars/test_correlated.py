"""Neurons that are active together, against scipy's rank correlation of every pair."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.stats import spearmanr

from builders.exemplars.correlated import CORRELATED, correlated
from builders.exemplars.place import PlaceState
from builders.exemplars.rows import compared_of, noted_compared
from tests.builders.exemplars.test_merging import LAYER, WIDTH, batch_of, read_of
from tests.exemplar_reference import Read

N_TOKENS, N_NEURONS = 60, 13


def activations(seed: int) -> list[np.ndarray]:
    """Three layers in which some neurons follow others, rounded so that there are ties; one is constant."""
    rng = np.random.default_rng(seed)
    first, second, third = rng.normal(0, 1, (3, N_TOKENS, N_NEURONS))
    second[:, 4] = np.exp(first[:, 0]) + rng.normal(0, 0.02, N_TOKENS)  # together, by rank
    third[:, 7] = -first[:, 0] + rng.normal(0, 0.3, N_TOKENS)  # opposite, at the edge
    third[:, 8] = 2 * third[:, 9] + 1
    first[:, 5] = first[:, 6] = first[:, 2] + rng.normal(0, 0.2, N_TOKENS)
    first[0, 10], second[0, 11] = 1e4, 1e4  # one token beyond all others: Pearson's correlation is 1
    second[:, 3] = 0.0
    return [each.round(1).astype(np.float32) for each in (first, second, third)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("memory", [1, 10**7])
@pytest.mark.parametrize("many", [0, 1], ids=["all multiplied", "most ruled out"])
def test_groups_are_connected_components_of_rank_correlations(monkeypatch, seed, memory, many):
    monkeypatch.setattr("builders.exemplars.correlated._MANY", many)
    layers = activations(seed)
    with np.errstate(invalid="ignore"):
        rank = spearmanr(np.concatenate(layers, 1)).statistic
    edge = np.abs(np.nan_to_num(rank)) >= CORRELATED
    reach = edge.copy()
    for _ in range(6):
        reach = reach @ reach
    groups = {tuple(np.flatnonzero(row)) for row in reach if row.sum() > 1}
    assert len(groups) >= 3 and not any(10 in each or N_NEURONS + 3 in each for each in groups)

    place_M, group_M = correlated(layers, memory, torch.device("cpu"))
    assert {tuple(place_M[group_M == group]) for group in set(group_M)} == groups
    firsts = [place_M[group_M == group][0] for group in range(len(groups))]
    assert firsts == sorted(firsts) and sorted(place_M) == list(place_M)


def test_activations_are_the_same_whatever_the_batches_and_shards():
    rng = np.random.default_rng(3)
    reads: list[Read] = [read_of(rng, int(n)) for n in rng.integers(2, 24, 20)]
    parts = [np.flatnonzero(read.counted_T) for read in reads]
    expected = np.concatenate(
        [read.acts_TN[at[at % 3 == 0]] for read, at in zip(reads, parts, strict=True)]  # as batch_of says
    )
    for shards in ([range(20)], [range(7, 20), range(7)]):
        state, noted = PlaceState(LAYER, WIDTH, True), []
        for shard, texts in enumerate(shards):
            state.begin()
            for text in rng.permutation(list(texts)).tolist():
                state.take(batch_of(reads, [text])[0])
            noted.append(noted_compared(state, 0, shard))
        assert np.array_equal(compared_of(pa.concat_tables(noted)), expected)
