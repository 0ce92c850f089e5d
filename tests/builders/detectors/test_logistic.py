"""Both solvers against a plain one: scipy's BFGS over the loss as docs/methods.md writes it, one problem at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from builders.detectors.logistic import balanced, newton
from builders.detectors.probe import wide


def loss(packed: np.ndarray, features_EK: np.ndarray, label_E: np.ndarray, ridge: float) -> float:
    score_E = features_EK @ packed[:-1] + packed[-1]
    own, rest = np.logaddexp(0, -score_E[label_E]).mean(), np.logaddexp(0, score_E[~label_E]).mean()
    return (own + rest) / 2 + ridge / 2 * (packed[:-1] ** 2).sum()


def plain(features_EK: np.ndarray, label_E: np.ndarray, ridge: float) -> np.ndarray:
    start = np.zeros(features_EK.shape[1] + 1)
    return minimize(loss, start, (features_EK, label_E, ridge), method="BFGS", options={"gtol": 1e-9}).x


def problem(seed: int, n_features: int, *, indicators: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label_E = rng.random(60) < 0.3
    features_EK = rng.normal(size=(60, n_features)) + label_E[:, None] * rng.normal(size=n_features)
    return (features_EK > 0.5).astype(float) if indicators else features_EK, label_E


@pytest.mark.parametrize("indicators", [False, True])
@pytest.mark.parametrize("ridge", [1e-3, 1e-1])
def test_newton_finds_the_minimum(indicators: bool, ridge: float) -> None:
    problems = [problem(seed, 3, indicators=indicators) for seed in range(4)]
    label_E = problems[0][1]
    found = newton(torch.tensor(np.stack([each for each, _ in problems])), torch.tensor(label_E), ridge, ((), 0.0))
    for i, (features_EK, _) in enumerate(problems):
        due = plain(features_EK, label_E, ridge)
        np.testing.assert_allclose([*found.weights_BK[i], found.bias_B[i]], due, atol=2e-4)
        assert float(found.loss_B[i]) == pytest.approx(loss(due, features_EK, label_E, ridge), abs=1e-8)


def test_where_newton_begins_does_not_matter() -> None:
    features_EK, label_E = problem(5, 2)
    arguments = torch.tensor(features_EK)[None], torch.tensor(label_E), 1e-2
    near, far = newton(*arguments, ((), 0.0)), newton(*arguments, ((40.0,), -25.0))
    np.testing.assert_allclose(far.weights_BK, near.weights_BK, atol=1e-6)


@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_a_class_told_without_an_error_has_finite_weights(ridge: float) -> None:
    label_E = torch.arange(20) < 5
    found = newton(label_E.double()[None, :, None], label_E, ridge, ((), 0.0))
    due = plain(label_E.double()[:, None].numpy(), label_E.numpy(), ridge)
    np.testing.assert_allclose([*found.weights_BK[0], found.bias_B[0]], due, rtol=1e-3)


def test_the_wide_one_finds_the_same_minimum() -> None:
    features_EK, label_E = problem(7, 12)
    weights, bias = wide(torch.tensor(features_EK), torch.tensor(label_E), 1e-2)
    np.testing.assert_allclose([*weights, bias], plain(features_EK, label_E, 1e-2), atol=1e-3)


def test_both_classes_weigh_the_same() -> None:
    weight_E = balanced(torch.tensor([True, False, False, False]))
    assert weight_E.tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])
