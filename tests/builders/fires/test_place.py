"""Percentiles among stored quantiles, against numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from atlas.schema.exemplar_tables import PROBABILITIES
from builders.fires.compact import in_words
from builders.fires.place import place

P = torch.tensor(PROBABILITIES, dtype=torch.float64)


def placed(acts: list[float], quantiles: np.ndarray, std: float) -> tuple[list[float], list[float], list[float]]:
    found = place(torch.tensor([acts]), torch.tensor(quantiles[None], dtype=torch.float32), P, torch.tensor([std]))
    return found.share_NS[0].tolist(), found.beyond_NS[0].tolist(), found.out()[0].tolist()


def test_percentiles_are_those_of_all_activations() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.0, 1.0, 200_000).astype(np.float32)
    quantiles = np.quantile(values, PROBABILITIES).astype(np.float32)
    asked = np.concatenate([rng.normal(0.0, 2.0, 500), quantiles]).astype(np.float32)
    inside = asked[(asked >= values.min()) & (asked <= values.max())]
    shares, beyond, _ = placed(inside.tolist(), quantiles, 1.0)
    assert shares == pytest.approx(np.interp(inside, quantiles.astype(np.float64), PROBABILITIES).tolist(), abs=1e-12)
    assert set(beyond) == {0.0}
    # Of all activations: linear between quantiles is off by at most half of the widest step between them.
    exact = np.searchsorted(np.sort(values), inside) / len(values)
    assert np.abs(np.array(shares) - exact).max() < 0.13
    tails = np.minimum(exact, 1 - exact)
    assert np.abs(np.array(shares) - exact)[tails < 0.01].max() < 0.002


def test_beyond_the_extremes_the_distance_counts_in_standard_deviations() -> None:
    quantiles = np.linspace(-1.0, 1.0, len(PROBABILITIES)).astype(np.float32)
    shares, beyond, out = placed([1.0, 1.5, -3.0, -1.0], quantiles, 0.5)
    assert shares == [1.0, 1.0, 0.0, 0.0]
    assert beyond == [0.0, 1.0, -4.0, 0.0]
    assert out == [0.0, 1.0, 4.0, 0.0]


def test_a_value_that_many_quantiles_equal_is_in_their_middle() -> None:
    quantiles = np.array([0.0] * 18 + [1.0, 2.0, 3.0], np.float32)  # 0 up to the probability .999
    shares, _, out = placed([0.0, 1.0, 1.5], quantiles, 1.0)
    assert shares == pytest.approx([0.999 / 2, 0.9995, 0.9997])
    assert out[0] < out[1] < out[2]


def test_a_neuron_that_never_varied_is_infinitely_far_out_elsewhere() -> None:
    shares, beyond, out = placed([0.25, 0.26, 0.24], np.full(len(PROBABILITIES), 0.25, np.float32), 0.0)
    assert shares == [0.5, 1.0, 0.0]
    assert beyond == [0.0, math.inf, -math.inf]
    assert out == [-0.5, math.inf, math.inf]


@pytest.mark.parametrize(
    ("percentile", "beyond", "words"),
    [
        (99.9987, None, "99.9987 %"),
        (0.00021, None, "0.00021 %"),
        (50.0, None, "50 %"),
        (97.26, None, "97.3 %"),
        (100.0, None, "max"),
        (0.0, None, "min"),
        (100.0, 0.4249, "max + 0.42 std"),
        (0.0, -3.0, "min − 3.0 std"),
        (100.0, math.inf, "max + inf std"),
    ],
)
def test_in_words(percentile: float, beyond: float | None, words: str) -> None:
    assert in_words({"percentile": percentile, "beyond": beyond}) == words
