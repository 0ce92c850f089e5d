"""The chunked top-k against an argsort of plain float64 products, on ordinary and on adversarial weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from builders.decoding.topk.chunked import SPARE, chunked_top
from builders.decoding.topk.reference import reference_top
from builders.decoding.topk.result import TopK
from tests.builders.decoding.topk import cases
from tests.builders.decoding.topk.cases import numpy_top, random


def assert_exact(w_ND: torch.Tensor, u_VD: torch.Tensor, k: int) -> TopK:
    return cases.assert_exact(lambda w, u, k: chunked_top(w, u, k, 1 << 20), w_ND, u_VD, k)


@pytest.mark.parametrize("n_vocab", [33, 64, 1000, 4097])
@pytest.mark.parametrize("k", [1, 8, 32])
def test_random_weights(n_vocab: int, k: int) -> None:
    found = assert_exact(random(50, 24), random(n_vocab, 24, seed=1), k)
    assert found.n_fallback == 0


def test_the_result_does_not_depend_on_the_chunking() -> None:
    w_ND, u_VD = random(70, 16), random(5000, 16, seed=1)
    small, large = chunked_top(w_ND, u_VD, 8, 1 << 15), chunked_top(w_ND, u_VD, 8, 1 << 27)
    assert torch.equal(small.raised_token_NK, large.raised_token_NK)
    assert torch.equal(small.lowered_logit_NK, large.lowered_logit_NK)


def test_log_sum_exp_is_that_of_both_signs() -> None:
    w_ND, u_VD = random(20, 24), random(3000, 24, seed=1)
    logits = w_ND.double() @ u_VD.double().T
    found = chunked_top(w_ND, u_VD, 4)
    torch.testing.assert_close(found.raised_lse_N, logits.exp().sum(1).log(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.lowered_lse_N, (-logits).exp().sum(1).log(), rtol=1e-6, atol=1e-6)


def test_equal_tokens_are_ordered_by_id() -> None:
    u_VD = random(40, 8, seed=1).repeat(50, 1)  # each row fifty times: ties everywhere
    found = assert_exact(random(12, 8), u_VD, 20)
    assert found.n_fallback == 24  # both signs of every neuron: no bound can separate equal logits


def test_constant_and_zero_rows() -> None:
    w_ND = torch.stack([torch.zeros(16), torch.ones(16), torch.full((16,), -3.0)])
    assert_exact(w_ND, random(500, 16, seed=1), 10)
    assert_exact(w_ND, torch.ones(500, 16), 10)


def test_many_near_ties_that_float32_screening_alone_would_misplace() -> None:
    # Logits that differ by less than the float32 error of their own products.
    direction = random(512, seed=2)
    u_VD = direction + 1e-6 * random(3000, 512, seed=3)
    w_ND = direction[None] * torch.tensor([[1.0], [-1.0]])
    screened = (w_ND @ u_VD.T).topk(16, dim=1).indices.numpy()
    exact, _ = numpy_top(w_ND, u_VD, 16, 1)
    assert not np.array_equal(screened, exact), "the case must be one where naive screening fails"
    assert assert_exact(w_ND, u_VD, 16).n_fallback > 0


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e12])
def test_extreme_norms(scale: float) -> None:
    assert_exact(random(10, 32) * scale, random(700, 32, seed=1), 6)


def test_denormal_weights() -> None:
    assert_exact(random(10, 32) * 1e-39, random(700, 32, seed=1), 6)


def test_one_outlier_token_does_not_break_the_bound() -> None:
    u_VD = random(700, 32, seed=1)
    u_VD[123] *= 1e4
    assert_exact(random(10, 32), u_VD, 6)


def test_k_close_to_the_vocabulary() -> None:
    u_VD = random(SPARE + 6, 8, seed=1)
    for k in (len(u_VD) - SPARE, len(u_VD) - 1, len(u_VD)):
        assert_exact(random(5, 8), u_VD, k)


def test_the_reference_is_the_definition() -> None:
    w_ND, u_VD = random(9, 12), random(77, 12, seed=1)
    found = reference_top(w_ND, u_VD, 5)
    tokens, logits = numpy_top(w_ND, u_VD, 5, -1)
    np.testing.assert_array_equal(found.lowered_token_NK.numpy(), tokens)
    np.testing.assert_array_equal(found.lowered_logit_NK.numpy(), logits)


@pytest.mark.parametrize("scale", [1e-24, 1e-38, 1e18])
def test_near_ties_far_from_one(scale: float) -> None:
    # The squares of these leave float32: a bound computed from them would call every neuron safe.
    u_VD = (1 + 1e-7 * random(3000, 16, seed=1)) * scale
    assert_exact(random(10, 16), u_VD, 8)


def test_products_that_overflow_to_nan_are_searched_again() -> None:
    w_ND = torch.tensor([1e20] * 4 + [-1e20] * 4).repeat(3, 1)
    u_VD = 1e19 + 1e12 * random(2000, 8, seed=1)  # inf - inf in float32, about 1e32 in truth
    assert assert_exact(w_ND, u_VD, 4).n_fallback == 6


@pytest.mark.parametrize("spread", [70.0, 79.5, 87.0, 300.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_one_token_far_above_the_others_leaves_both_sums_finite(spread: float, sign: int) -> None:
    u_VD = torch.zeros(9000, 2)
    u_VD[5, 0] = sign * spread
    found = chunked_top(torch.eye(2), u_VD, 4)
    logits = u_VD.double().T
    torch.testing.assert_close(found.raised_lse_N, logits.logsumexp(1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.lowered_lse_N, (-logits).logsumexp(1), rtol=1e-6, atol=1e-6)
