"""Statistics and intervals on a GPU: against float64 and scipy, and as the processor has them; random shapes."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from scipy import stats

from builders.gaussians.layer import separate_and_fit
from builders.intervals.layer import Examples, find_intervals
from builders.intervals.permutations import Chance, labellings_of
from tests.gpu.device import DEVICE, MARKS

pytestmark = MARKS
SHAPES = [(40, 3, 50), (331, 7, 129), (1500, 14, 260)]
"""Examples, concepts, neurons."""


@pytest.fixture(params=SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, int]:
    """acts_EN, labels_E and the number of concepts; some columns repeat values, one is constant."""
    n_examples, n_concepts, width = request.param
    rng = np.random.default_rng(n_examples)
    labels_E = rng.permutation(np.arange(n_examples) % n_concepts)
    acts_EN = rng.standard_normal((n_examples, width)).astype(np.float32)
    acts_EN += (labels_E[:, None] == np.arange(width) % n_concepts).astype(np.float32)
    acts_EN[:, ::5] = acts_EN[:, ::5].round(1)
    acts_EN[:, 7] = 0.25
    return acts_EN, labels_E, n_concepts


def same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Whole numbers equal, others to the last bits of float32."""
    assert ours.shape == theirs.shape
    if ours.dtype.kind in "iub":
        np.testing.assert_array_equal(ours, theirs)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_statistics(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    acts_EN, labels_E, n_concepts = case
    found = separate_and_fit(acts_EN, labels_E, n_concepts, [2.0, 2.5], 20, device=DEVICE)
    for concept in range(n_concepts):
        own, rest = acts_EN[labels_E == concept].astype(np.float64), acts_EN[labels_E != concept]
        np.testing.assert_allclose(found.mean[concept], own.mean(0), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(found.std[concept], own.std(0), rtol=1e-5, atol=1e-7)
        for neuron in (0, 1, 7, acts_EN.shape[1] - 1):
            due = stats.mannwhitneyu(own[:, neuron], rest[:, neuron]).statistic
            assert found.twice_u[concept, neuron] == 2 * due
    on_cpu = separate_and_fit(acts_EN, labels_E, n_concepts, [2.0, 2.5], 20)
    for field in fields(found):
        if field.name not in ("further", "background_n"):
            same(getattr(found, field.name), getattr(on_cpu, field.name))


def test_intervals(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    acts_EN, labels_E, _ = case
    rng = np.random.default_rng(1)
    folds_E, strata_E = rng.integers(0, 4, len(labels_E)), rng.integers(0, 3, len(labels_E))
    examples = Examples(labels_E, folds_E, np.arange(len(labels_E)) % 7, strata_E)
    drawn = labellings_of(labels_E, np.arange(len(labels_E)), 20, 0)
    found, on_cpu = (
        find_intervals(acts_EN, examples, Chance(drawn, device), device) for device in (DEVICE, torch.device("cpu"))
    )
    for field in fields(found):
        if field.name != "maxima":
            same(getattr(found, field.name), getattr(on_cpu, field.name))
    for name in vars(found.maxima):
        same(getattr(found.maxima, name), getattr(on_cpu.maxima, name))
    concept, neuron = 0, 3  # as the bounds say
    inside = (acts_EN[:, neuron] >= found.lower[concept, neuron]) & (acts_EN[:, neuron] <= found.upper[concept, neuron])
    assert inside[labels_E == concept].sum() == found.inside[concept, neuron]
    assert inside[labels_E != concept].sum() == found.others_inside[concept, neuron]
