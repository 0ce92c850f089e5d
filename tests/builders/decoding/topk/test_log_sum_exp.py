"""Log-sum-exp of the bfloat16 way: its proven bound against the measured error, neuron by neuron, in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from builders.decoding.topk import cpu, screening
from builders.decoding.topk.moments import Spread
from builders.decoding.topk.vocabulary import Vocabulary
from tests.builders.decoding.topk.cases import random

Weights = tuple[torch.Tensor, torch.Tensor]


def quantised(x_ND: torch.Tensor, bits: int) -> torch.Tensor:
    """Whole numbers times a scale per 32 values, as a dequantised checkpoint holds them."""
    blocks = x_ND.unflatten(1, (-1, 32))
    scale = blocks.abs().amax(2, keepdim=True) / 2 ** (bits - 1)
    return ((blocks / scale).round() * scale).flatten(1)


def ordinary(seed: int) -> Weights:
    return random(64, 96, seed=seed) * 0.08, random(5000, 96, seed=seed + 1)


def bfloat16(seed: int) -> Weights:
    w_ND, u_VD = ordinary(seed)
    return w_ND.bfloat16().float(), u_VD.bfloat16().float()


def dequantised(seed: int) -> Weights:
    # Like a real unembedding: a common direction, an uneven spectrum, norms that differ.
    spectrum, norms = torch.logspace(0, -1, 96), 1 + random(5000, 1, seed=seed + 1).abs()
    u_VD = random(5000, 96, seed=seed + 2) * spectrum * norms + random(96, seed=seed + 3)
    return quantised(random(64, 96, seed=seed) * 0.1, 4), quantised(u_VD, 8)


def wide(seed: int) -> Weights:
    w_ND, u_VD = ordinary(seed)  # logits of standard deviation 3
    return w_ND * 3 / 0.08 / 96**0.5, u_VD


def one_dominates(seed: int) -> Weights:
    w_ND, u_VD = ordinary(seed)
    u_VD[17] = 12 * w_ND[0] / w_ND[0].square().sum()
    return w_ND[:1] + 0.005 * random(64, 96, seed=seed + 5), u_VD


def lopsided(seed: int) -> Weights:
    return ordinary(seed)[0], random(5000, 96, seed=seed + 1).abs() ** 2  # skewed logits, far from zero


def constant(seed: int) -> Weights:
    w_ND = torch.linspace(-1, 1, 64)[:, None].expand(-1, 96) * 0.1 / 3
    return w_ND.contiguous(), random(5000, 96, seed=seed)


def all_rounded_down(seed: int) -> Weights:
    """The copies of w are all smaller by nearly half a step, so that the loss is the logit itself, made small."""
    w_ND = (random(64, 96, seed=seed) * 0.2).bfloat16()
    exponent = torch.frexp(w_ND.float()).exponent
    return w_ND.float() + w_ND.float().sign() * 0.49 * torch.exp2(exponent - 8.0), random(5000, 96, seed=seed + 1)


def strong_tokens_lose_most(seed: int) -> Weights:
    """One neuron, slightly varied: the tokens just below its top lose all in its favour, no others lose anything."""
    w_ND, u_VD = bfloat16(seed)
    rows = (u_VD @ w_ND[0]).argsort(descending=True)[20:400]
    step = 0.49 * torch.exp2(torch.frexp(u_VD[rows]).exponent - 8.0)
    u_VD[rows] += step * w_ND[0].sign()
    return (w_ND[0] + 0.002 * random(64, 96, seed=seed + 5)).bfloat16().float() * 3, u_VD


CASES = [
    ordinary,
    bfloat16,
    dequantised,
    wide,
    one_dominates,
    lopsided,
    constant,
    all_rounded_down,
    strong_tokens_lose_most,
]


def measured(w_ND: torch.Tensor, u_VD: torch.Tensor, kept: bool, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """(error of log-sum-exp, its bound), [2, N] float64, with no neuron left to float32 for its bound."""
    bounds: list[torch.Tensor] = []
    estimate = screening.log_sum_exp

    def recorded(*arguments):
        lse_n, bound_n = estimate(*arguments)
        bounds.append(torch.stack([lse_n, bound_n]))
        return lse_n, bound_n

    monkeypatch.setattr(screening, "log_sum_exp", recorded)
    monkeypatch.setattr(cpu, "workers", lambda: 1)  # so that raised and lowered come once each, of all neurons
    screening.screened_top(w_ND, Vocabulary(u_VD, kept=kept), 8, 1 << 24, cpu)
    logits_NV = w_ND.double() @ u_VD.double().T
    true_2N = torch.stack([logits_NV.logsumexp(1), (-logits_NV).logsumexp(1)])
    lse_2N, bound_2N = torch.stack(bounds, 1)
    return (lse_2N - true_2N).abs(), bound_2N


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_no_error_exceeds_its_bound(
    case: Callable[[int], Weights], kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (0, 100):
        with monkeypatch.context() as patch:
            error_2N, bound_2N = measured(*case(seed), kept, patch)
        assert bound_2N.isfinite().all()
        assert (error_2N <= bound_2N).all()


@pytest.mark.parametrize("case", [ordinary, bfloat16, dequantised, constant, one_dominates])
def test_second_moments_make_the_bound_a_small_one(
    case: Callable[[int], Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bound_2N = measured(*case(0), True, monkeypatch)
    assert bound_2N.max() < screening.LSE_GUARD / 2


def test_the_bound_by_moments_is_several_times_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = []
    for kept in (True, False):
        with monkeypatch.context() as patch:
            bounds.append(measured(*dequantised(0), kept, patch)[1].median())
    assert bounds[0] < bounds[1] / 3


def test_neurons_above_the_guard_are_done_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    w_ND, u_VD = dequantised(0)
    monkeypatch.setattr(screening, "LSE_GUARD", 0.0)
    found = screening.screened_top(w_ND, Vocabulary(u_VD), 8, 1 << 24, cpu)
    logits_NV = w_ND.double() @ u_VD.double().T
    torch.testing.assert_close(found.raised_lse_N, logits_NV.logsumexp(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1.0, 1e12, 1e25])
def test_the_spread_of_a_loss_is_bounded_closely(scale: float) -> None:
    w_ND, u_VD = dequantised(0)
    u_VD = u_VD * scale
    vocabulary, low_ND = Vocabulary(u_VD), w_ND.bfloat16()
    loss_NV = w_ND.double() @ u_VD.double().T - low_ND.double() @ u_VD.bfloat16().double().T
    norms = [np.linalg.norm(x_ND.double(), axis=1) for x_ND in (w_ND, w_ND - low_ND)]
    _, spread_N = vocabulary.moments.of_loss(w_ND, low_ND, *map(torch.from_numpy, norms))
    true_N = loss_NV.std(1, correction=0)
    assert (spread_N >= true_N).all()
    if 1e-15 < scale < 1e15:  # elsewhere squares leave float32
        assert (spread_N <= 3 * true_N).all()


def test_a_covariance_bounds_any_direction() -> None:
    # Also those in which the vectors do not vary at all, where only rounding is seen.
    x_VD = random(3000, 1, seed=1) * random(64, seed=2) + 1e-3 * random(3000, 64, seed=3)
    x_VD -= x_VD.mean(0)
    low_VD = x_VD.bfloat16()
    product = (low_VD.T @ low_VD).float() / 3000
    spread = Spread.of(product, torch.linalg.matrix_norm(product).double())
    v_ND = torch.linalg.qr(random(64, 64, seed=4)).Q
    bound_N = spread.bound(v_ND, spread.product(v_ND), torch.ones(64, dtype=torch.float64))
    assert (bound_N >= (v_ND.double() @ x_VD.double().T).std(1, correction=0)).all()
