"""What a rule reaches, counted one by one."""

from __future__ import annotations

import numpy as np
import pytest

from builders.detectors.figures import figures, resampled


def sample(seed: int, n: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(size=n), 1), rng.random(n) < 0.4, rng.integers(0, 3, n)


def pairwise(score_E: np.ndarray, label_E: np.ndarray, fold_E: np.ndarray) -> float:
    wins = pairs = 0.0
    for i in np.flatnonzero(label_E):
        for j in np.flatnonzero(~label_E):
            if fold_E[i] == fold_E[j]:
                pairs += 1
                wins += 1.0 if score_E[i] > score_E[j] else 0.5 if score_E[i] == score_E[j] else 0.0
    return wins / pairs


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_counted(seed: int) -> None:
    score_E, label_E, fold_E = sample(seed)
    told_E = score_E > 0.2
    found = figures(score_E, told_E, label_E, fold_E, resampled(label_E, seed))
    assert (found.inside, found.others) == ((told_E & label_E).sum(), (told_E & ~label_E).sum())
    assert found.auc == pytest.approx(pairwise(score_E, label_E, fold_E))
    f1 = 2 * found.inside / (found.inside + found.others + label_E.sum())
    assert found.auc_low < found.auc < found.auc_high
    assert found.f1_low < f1 < found.f1_high


def test_a_resample_is_counted_as_if_its_texts_stood_there() -> None:
    score_E, label_E, fold_E = sample(9)
    counts_RE = resampled(label_E, 4)[:2]
    assert (counts_RE[0] == 1).all()
    again = np.repeat(np.arange(len(label_E)), counts_RE[1])
    assert label_E[again].sum() == label_E.sum() and len(again) == len(label_E)
    found = figures(score_E, score_E > 0, label_E, fold_E, counts_RE)
    assert found.auc_low == found.auc_high == pytest.approx(pairwise(score_E[again], label_E[again], fold_E[again]))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        label_E = np.arange(60) < 25
        score_E = rng.normal(size=60) + label_E
        found = figures(score_E, score_E > 0.5, label_E, np.zeros(60, int), resampled(label_E, seed))
        held += found.auc_low <= 0.7602499 <= found.auc_high  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    assert 176 <= held <= 200


def test_a_fold_without_the_concept_has_no_pairs() -> None:
    label_E = np.array([True, True, False, False])
    found = figures(np.arange(4.0), label_E, label_E, np.array([0, 0, 1, 1]), resampled(label_E, 0))
    assert np.isnan([found.auc, found.auc_low, found.auc_high]).all()
    assert (found.inside, found.others) == (2, 0)
