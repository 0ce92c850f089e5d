"""What a place notes, neuron by neuron: intervals against those of builders/intervals, and a plain layer probe."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from builders.detectors import candidates as module
from builders.detectors.candidates import best, measure
from builders.detectors.probe import left_out_aucs, left_out_scores


def place(seed: int, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels_E = np.repeat(np.arange(3), 15)
    acts_EN = rng.normal(size=(45, 40)) + (labels_E[:, None] == rng.integers(0, 3, 40)) * rng.normal(size=40)
    acts_EN[:, 5] = 0.25
    return (np.round(acts_EN, int(not ties) * 6)).astype(np.float32), labels_E, rng.permutation(45) % 4


def largest_gain(values_E: np.ndarray, label_E: np.ndarray) -> float:
    different = np.unique(values_E)
    held = [(values_E >= low) & (values_E <= high) for i, low in enumerate(different) for high in different[i:]]
    return max(each[label_E].mean() - each[~label_E].mean() for each in held)


@pytest.mark.parametrize("ties", [False, True])
def test_every_neuron_is_measured_on_the_other_folds(ties: bool) -> None:
    acts_EN, labels_E, folds_E = place(0, ties)
    found = measure(acts_EN, labels_E, folds_E, 4, torch.device("cpu"))
    for fold in range(5):
        kept_E = folds_E != fold
        for concept in range(3):
            label_E = labels_E == concept
            for neuron in range(0, 40, 3):
                values_E = acts_EN[:, neuron].astype(float)
                gain = found.gain[fold, concept, neuron]
                assert gain == pytest.approx(largest_gain(values_E[kept_E], label_E[kept_E]))
                held_E = (values_E >= found.lower[fold, concept, neuron]) & (
                    values_E <= found.upper[fold, concept, neuron]
                )
                assert held_E[kept_E & label_E].mean() - held_E[kept_E & ~label_E].mean() == pytest.approx(gain)
                own, rest = values_E[kept_E & label_E], values_E[kept_E & ~label_E]
                spread = values_E[kept_E].std()
                due = abs(own.mean() - rest.mean()) / spread if spread else 0
                assert found.difference[fold, concept, neuron] == pytest.approx(due, abs=1e-9)


def test_the_best_come_first_and_of_equal_ones_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    values = np.array([[[0.5, 0.9, 0.5, 0.1, 0.9]]])
    found = best(values, (values.astype(np.float32), values.astype(np.float32) + 1))
    assert found.neuron.tolist() == [[[1, 4, 0]]]
    assert found.value.tolist() == [[[0.9, 0.9, 0.5]]]
    np.testing.assert_allclose(found.upper - found.lower, 1)


def test_scores_of_texts_left_out_are_those_of_regressions_without_them() -> None:
    acts_EN, labels_E, _ = place(1)
    labels_EC = np.eye(3, dtype=bool)[labels_E]
    found = left_out_scores(torch.tensor(acts_EN), labels_EC)
    spread = acts_EN.std(0)
    features = (acts_EN.astype(float) - acts_EN.mean(0)) / np.where(spread > 0, spread, 1)
    with_one = np.concatenate([features / np.sqrt(features.shape[1]), np.ones((45, 1))], 1)
    for left_out in range(0, 45, 5):
        others = np.arange(45) != left_out
        square = with_one[others].T @ with_one[others] + np.eye(with_one.shape[1])
        weights = np.linalg.solve(square, with_one[others].T @ (labels_EC[others] * 2.0 - 1))
        np.testing.assert_allclose(found[left_out], with_one[left_out] @ weights, atol=1e-4)


def test_a_layer_that_tells_a_concept_has_the_larger_auc() -> None:
    acts_EN, labels_E, folds_E = place(2)
    acts_EN[labels_E == 1, 7] += 4
    found = left_out_aucs(torch.tensor(acts_EN), labels_E, folds_E, 4)
    assert found.shape == (5, 3) and (found[:, 1] > 0.9).all()
    noise = np.random.default_rng(0).normal(size=acts_EN.shape).astype(np.float32)
    assert (left_out_aucs(torch.tensor(noise), labels_E, folds_E, 4) < 0.8).all()
