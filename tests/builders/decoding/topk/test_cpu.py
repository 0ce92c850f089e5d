"""The bfloat16 screening against an argsort of float64 products. Runs anywhere; it is only fast where bfloat16 is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.errors import BuildError
from builders.decoding.topk import cpu, screening
from builders.decoding.topk.bounds import Errors
from builders.decoding.topk.chunked import chunked_top
from builders.decoding.topk.result import TopK
from builders.decoding.topk.top import top_tokens
from builders.decoding.topk.vocabulary import Vocabulary
from tests.builders.decoding.topk import cases
from tests.builders.decoding.topk.cases import assert_lse, numpy_top, random

MEMORY = 1 << 24


def fast(w_ND: torch.Tensor, u_VD: torch.Tensor, k: int) -> TopK:
    return screening.screened_top(w_ND, Vocabulary(u_VD), k, MEMORY, cpu)


def assert_exact(w_ND: torch.Tensor, u_VD: torch.Tensor, k: int) -> TopK:
    return cases.assert_exact(fast, w_ND, u_VD, k)


@pytest.fixture
def redone(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many neurons each call left to the float32 path."""
    counts: list[int] = []

    def counted(w_ND, *rest):
        counts.append(len(w_ND))
        return chunked_top(w_ND, *rest)

    monkeypatch.setattr(screening, "chunked_top", counted)
    return counts


@pytest.mark.parametrize("n_vocab", [4096, 5000, 8191])  # whole tiles, and two sizes that need padding
@pytest.mark.parametrize("k", [1, 7, 32])
@pytest.mark.parametrize("as_bfloat16", [True, False])
def test_random_weights(n_vocab: int, k: int, as_bfloat16: bool, redone: list[int]) -> None:
    w_ND, u_VD = random(60, 48) * 0.1, random(n_vocab, 48, seed=1)
    if as_bfloat16:
        w_ND, u_VD = w_ND.bfloat16().float(), u_VD.bfloat16().float()
    assert_lse(assert_exact(w_ND, u_VD, k), w_ND, u_VD, atol=1e-3)
    assert not redone, "ordinary weights must not need the fallback"


def test_naive_screening_would_fail_where_the_bound_does_not() -> None:
    # Candidates taken from the bfloat16 product without a bound, spares included, miss true top tokens.
    w_ND, u_VD, k = random(40, 64), random(6000, 64, seed=1) + 30 * random(64, seed=2), 32
    naive = (w_ND.bfloat16() @ u_VD.bfloat16().T).float().topk(k + 8, dim=1).indices.numpy()
    exact, _ = numpy_top(w_ND, u_VD, k, 1)
    missed = sum(len(set(exact[row]) - set(naive[row])) for row in range(len(exact)))
    assert missed > 0, "the case must be one where naive screening fails"
    assert_exact(w_ND, u_VD, k)


def test_every_bound_holds_for_every_pair() -> None:
    # The proof, checked pair by pair on weights of very different norms.
    scale = torch.logspace(-3, 3, 30)[:, None]
    w_ND, u_VD = random(30, 40) * scale, random(4096, 40, seed=1) * torch.logspace(-2, 2, 4096)[:, None]
    vocabulary, low_ND = Vocabulary(u_VD), w_ND.bfloat16()
    y = torch.empty(30 * len(vocabulary.low_PD), dtype=torch.bfloat16)
    cpu.product(low_ND, vocabulary.segment(0, len(vocabulary.low_PD)), y, 1 / np.log(2))
    errors = Errors.of(w_ND, low_ND, vocabulary)
    y_NP = torch.cat([part.view(30, -1) for part in y.split(30 * cpu.STRIPE)], 1)
    bound_NP = errors.slope_n[:, None] * vocabulary.weight_P + errors.base_n[:, None] + 2.0**-8 * y_NP.float().abs()
    true_NV = w_ND.double() @ u_VD.double().T / np.log(2)
    assert ((y_NP.double() - true_NV).abs() <= bound_NP.double()).all()


def test_neurons_of_several_chunks_keep_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "ROWS", 16)
    w_ND, u_VD = random(70, 24), random(4500, 24, seed=1)
    assert_exact(w_ND, u_VD, 8)
    cases.assert_exact(lambda *a: screening.screened_top(a[0], Vocabulary(a[1]), a[2], 1 << 13, cpu), w_ND, u_VD, 8)


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 3.0, 24.0])
def test_log_sum_exp_at_every_width_of_the_logits(scale: float) -> None:
    w_ND, u_VD = random(30, 64) * scale / 8, random(6000, 64, seed=1)  # logits of standard deviation `scale`
    assert_lse(assert_exact(w_ND, u_VD, 16), w_ND, u_VD, atol=1e-3 * max(1, scale**2))


def test_log_sum_exp_of_a_vocabulary_with_a_common_direction() -> None:
    # Rounding w moves every logit the same way here; the mean takes it out again.
    u_VD = random(6000, 64, seed=1) * 0.1 + 3 * random(64, seed=2)
    w_ND = random(30, 64) * 0.2
    assert_lse(assert_exact(w_ND, u_VD, 16), w_ND, u_VD, atol=1e-3)


def test_a_row_whose_bound_fails_is_done_in_float32(redone: list[int]) -> None:
    w_ND, u_VD = random(8, 64) * 0.05, random(6000, 64, seed=1)
    w_ND[3] = 0  # all logits equal: nothing can be told apart
    assert_exact(w_ND, u_VD, 8)
    assert redone == [1]


def test_a_row_that_bfloat16_holds_exactly_does_not_loosen_the_others(redone: list[int]) -> None:
    w_ND = random(40, 64) * 0.05
    w_ND[3] = 0.05 * torch.ones(64).bfloat16()
    assert_exact(w_ND, random(6000, 64, seed=1), 8)
    assert not redone


def test_equal_tokens_are_ordered_by_id() -> None:
    assert_exact(random(6, 16), random(50, 16, seed=1).repeat(100, 1), 20)


def test_constant_rows_and_zero_rows() -> None:
    w_ND = torch.stack([torch.zeros(16), torch.ones(16), torch.full((16,), -3.0)])
    assert_exact(w_ND, random(5000, 16, seed=1), 10)
    assert_exact(w_ND, torch.ones(5000, 16), 10)


def test_near_ties_below_the_float32_error() -> None:
    direction = random(256, seed=2)
    assert_exact(direction[None] * torch.tensor([[1.0], [-1.0]]), direction + 1e-6 * random(5000, 256, seed=3), 16)


@pytest.mark.parametrize("scale", [1e-39, 1e-30, 1e-20, 1e12, 1e18])
def test_extreme_norms_and_subnormal_weights(scale: float) -> None:
    assert_exact(random(6, 32) * scale, random(5000, 32, seed=1), 6)


@pytest.mark.parametrize("scale", [1e-38, 1e18])
def test_near_ties_far_from_one(scale: float) -> None:
    assert_exact(random(4, 16), (1 + 1e-7 * random(5000, 16, seed=1)) * scale, 8)


def test_values_beyond_the_range_of_bfloat16() -> None:
    w_ND, u_VD = random(4, 16), random(5000, 16, seed=1)
    w_ND[1, 0], u_VD[7] = 3.4e38, 1e-3  # the bfloat16 copy of it is infinite
    u_VD[:, 0] *= 1e-3
    assert_exact(w_ND, u_VD, 8)


@pytest.mark.parametrize("flip", [1, -1])
def test_sums_that_overflow_on_the_way(flip: int) -> None:
    w_ND = flip * torch.tensor([[1e20] * 4 + [-1e20] * 4, [1.0] * 8])
    assert_exact(w_ND, 1e19 + 1e12 * random(5000, 8, seed=1), 4)


def test_one_outlier_token_does_not_break_the_bound() -> None:
    u_VD = random(5000, 32, seed=1)
    u_VD[123] *= 1e4
    assert_exact(random(10, 32), u_VD, 6)


def test_all_logits_of_one_sign() -> None:
    u_VD = random(5000, 32, seed=1).abs()
    assert_exact(torch.cat([random(5, 32).abs(), -random(5, 32).abs()]), u_VD, 12)


def test_negative_zero_and_zero_are_equal() -> None:
    u_VD = torch.zeros(5000, 4)
    u_VD[::2, 0] = 1.0
    w_ND = torch.tensor([[-0.0, 1.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0]])
    assert_exact(w_ND, u_VD, 5)


def test_the_one_function_takes_a_tensor_or_a_vocabulary() -> None:
    w_ND, u_VD = random(9, 64), random(5000, 64, seed=1)
    plain, prepared = top_tokens(w_ND, u_VD, 8), top_tokens(w_ND, Vocabulary(u_VD), 8)
    assert torch.equal(plain.raised_token_NK, prepared.raised_token_NK)
    cases.assert_exact(top_tokens, w_ND, u_VD, 8)
    cases.assert_exact(top_tokens, w_ND, u_VD[:40], 40)  # too few tokens to screen


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_by_name(value: float) -> None:
    w_ND, u_VD = random(9, 64), random(5000, 64, seed=1)
    w_ND[4, 7] = value
    with pytest.raises(BuildError, match="neuron 4"):
        top_tokens(w_ND, u_VD, 8)
    u_VD[123, 0] = value
    with pytest.raises(BuildError, match="token 123"):
        top_tokens(random(9, 64), u_VD, 8)


def test_finite_values_whose_sum_overflows_are_not_refused() -> None:
    u_VD = torch.full((5000, 64), 1e37)
    assert torch.equal(Vocabulary(u_VD).u_VD, u_VD)
