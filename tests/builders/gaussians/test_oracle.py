"""A whole layer against the plain reference, for corpora and activations of many shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from builders.gaussians.layer import separate_and_fit
from tests.builders.gaussians.oracle import counts_of, ranges_of, shape_of

TAUS = (0.5, 2.5)
CORPORA = {
    "equal": (12, 12, 12, 12),
    "equal in runs": (5, 5, 20, 20, 20, 3),
    "unequal": (1, 2, 37, 60),
    "two": (40, 9),
    "alone": (25,),
    "many": (2,) * 30,
}


def layer(n: int, seed: int) -> np.ndarray:
    """float32 [n, 12]: offsets, scales, ties, constants, both zeros, denormals, large numbers."""
    rng = np.random.default_rng(seed)
    acts = rng.standard_normal((n, 12)) * np.exp(rng.normal(0, 3, 12)) + rng.normal(0, 2, 12)
    acts[:, 1] = np.round(acts[:, 1])
    acts[:, 2] = 0.1
    acts[:, 3] = np.where(rng.random(n) < 0.5, 0.0, -0.0)
    acts[:, 4] = np.where(rng.random(n) < 0.7, 0.0, acts[:, 4])
    acts[:, 5] *= 1e-41
    acts[:, 6] = 1e6 + 0.01 * acts[:, 6]
    acts[:, 7] *= 1e30
    return acts.astype(np.float32)


@pytest.mark.parametrize("bins", [1, 7, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sizes", CORPORA.values(), ids=CORPORA)
def test_a_layer_is_what_the_reference_says(sizes: tuple[int, ...], dtype: torch.dtype, bins: int) -> None:
    n_concepts, n = len(sizes), sum(sizes)
    labels = np.random.default_rng(n).permutation(np.repeat(np.arange(n_concepts), sizes))
    acts = torch.from_numpy(layer(n, seed=n)).to(dtype).float().numpy()
    got = separate_and_fit(acts, labels, n_concepts, TAUS, bins)
    for neuron in range(acts.shape[1]):
        column = acts[:, neuron]
        counted = counts_of(column, labels, n_concepts, bins)
        counted |= ranges_of(column, labels, got.mean[:, neuron], got.std[:, neuron], TAUS)
        for name, expected in counted.items():
            found = getattr(got, name)
            found = found[:, neuron] if name == "histogram" else found[..., neuron]
            np.testing.assert_array_equal(found, expected, err_msg=f"{name} of neuron {neuron}")
        own = [shape_of(column[labels == concept]) for concept in range(n_concepts)]
        for name, value in shape_of(column).items():
            close = {"rtol": 1e-6, "atol": 1e-6 if name in ("skewness", "kurtosis") else 1e-45, "err_msg": name}
            expected = np.array([each[name] for each in own])
            np.testing.assert_allclose(getattr(got, name)[:, neuron], expected.astype(np.float32), **close)
            np.testing.assert_allclose(getattr(got, f"background_{name}")[neuron], np.float32(value), **close)


def test_activations_may_be_tensors() -> None:
    labels = np.repeat([0, 1, 2], 20)
    acts = layer(60, seed=1)
    expected = separate_and_fit(acts, labels, 3, TAUS, 20)
    got = separate_and_fit(torch.from_numpy(acts), labels, 3, TAUS, 20)
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(got, name), values, err_msg=name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("sizes", CORPORA.values(), ids=CORPORA)
def test_a_gpu_says_the_same(sizes: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    acts = layer(sum(sizes), seed=2)
    expected = separate_and_fit(acts, labels, len(sizes), TAUS, 20)
    got = separate_and_fit(torch.from_numpy(acts).cuda(), labels, len(sizes), TAUS, 20, device="cuda")
    for name, values in vars(expected).items():
        found = getattr(got, name)
        if np.asarray(values).dtype == np.float32:
            np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(found, values, err_msg=name)
