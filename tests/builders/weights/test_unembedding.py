"""Null space and frequency against a float64 SVD and numpy's correlation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from builders.weights import random_vectors
from builders.weights.frequency import Frequency
from builders.weights.unembedding import Unembedding, null_directions

V, D = 700, 128


def parts(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Frequency]:
    """(u [V, D] with a weak pair of directions, gain, w [20, D], frequency of some tokens)."""
    generator = torch.Generator().manual_seed(seed)
    basis_DD = torch.linalg.qr(torch.randn(D, D, generator=generator))[0]
    strength_D = torch.cat([torch.tensor([0.01, 0.02]), torch.linspace(1, 4, D - 2)])
    u_VD = torch.randn(V, D, generator=generator) * strength_D @ basis_DD.T + 3
    gain_D = torch.rand(D, generator=generator) + 0.5
    w_ND = torch.randn(20, D, generator=generator)
    w_ND[0] = basis_DD[:, 0] + basis_DD[:, 1]  # an entropy neuron of mode raw
    w_ND[1] = 0
    token_S = np.sort(np.random.default_rng(seed).choice(V, 500, replace=False))
    return u_VD, gain_D, w_ND, Frequency("texts", token_S, -np.log1p(np.arange(500.0)))


@pytest.mark.parametrize("folded", [False, True])
def test_against_an_svd_and_a_correlation(folded):
    u_VD, gain_D, w_ND, frequency = parts(3)
    found = Unembedding(u_VD, gain_D if folded else None, frequency)
    u, w = u_VD.double().numpy() * (gain_D.double().numpy() if folded else 1), w_ND.double().numpy()
    _, singular, right = np.linalg.svd(u - u.mean(0), full_matrices=False)
    np.testing.assert_allclose(found.singular_D.numpy(), singular[::-1], rtol=1e-6, atol=1e-6)
    assert null_directions(D) == 2
    with np.errstate(invalid="ignore"):
        due = ((w @ right[-2:].T) ** 2).sum(1) / (w**2).sum(1)
    np.testing.assert_allclose(found.null_share(w_ND).numpy(), due, rtol=1e-5, atol=1e-9)
    assert folded or due[0] > 0.99
    logits = (u @ w.T)[frequency.token_S]
    correlation = [stats.pearsonr(logits[:, n], frequency.log_S)[0] if w[n].any() else np.nan for n in range(20)]
    np.testing.assert_allclose(found.frequency_correlation(w_ND).numpy(), correlation, rtol=1e-9, atol=1e-12)


def test_the_number_of_null_directions_is_that_of_the_paper_for_gpt2():
    assert [null_directions(d) for d in (8, 576, 768, 4096)] == [1, 9, 12, 64]


def test_without_any_frequency_nothing_correlates():
    u_VD, _, w_ND, _ = parts(1)
    for count in (0, 1):
        found = Unembedding(u_VD, None, Frequency("token ids", np.arange(count), np.zeros(count)))
        assert torch.isnan(found.frequency_correlation(w_ND)).all()


def test_what_random_vectors_reach():
    rng = np.random.default_rng(0)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.standard_normal((2, 40_000, 24)))
    assert np.mean(np.abs((a * b).sum(1)) <= random_vectors.cosine_quantile(24)) == pytest.approx(0.95, abs=0.004)
    assert np.mean((a[:, :3] ** 2).sum(1) <= random_vectors.share_quantile(3, 24)) == pytest.approx(0.95, abs=0.004)
    assert random_vectors.cosine_quantile(1) == random_vectors.share_quantile(5, 5) == 1
    drawn = random_vectors.drawn(6, torch.device("cpu"))
    assert drawn.shape == (1024, 6) and torch.equal(drawn, random_vectors.drawn(6, torch.device("cpu")))
    assert random_vectors.quantile(np.array([np.nan])) is None
    assert random_vectors.quantile(np.array([np.nan, *range(101)])) == 95
