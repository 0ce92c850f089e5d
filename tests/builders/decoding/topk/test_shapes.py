"""The one function the builders call, on shapes and weights chosen to be awkward, against NumPy in float64."""

from __future__ import annotations

import pytest
import torch

from builders.decoding.topk import cpu, screening
from builders.decoding.topk.top import top_tokens
from builders.decoding.topk.vocabulary import FOLD, TILE, Vocabulary
from tests.builders.decoding.topk.cases import assert_exact, assert_lse, random


def fast(w_ND: torch.Tensor, u_VD: torch.Tensor, k: int):
    return screening.screened_top(w_ND, Vocabulary(u_VD), k, 1 << 24, cpu)


@pytest.mark.parametrize("n_vocab", [8 * FOLD * 16, 8 * TILE - 1, 8 * TILE + 1, 12_345])
@pytest.mark.parametrize("k", [10, 16])
def test_vocabularies_around_the_tiles(n_vocab: int, k: int) -> None:
    w_ND, u_VD = random(37, 64) * 0.05, random(n_vocab, 64, seed=1)
    assert_lse(assert_exact(top_tokens, w_ND, u_VD, k), w_ND, u_VD, atol=1e-3)


@pytest.mark.parametrize("n_vocab", [40, 5000])
@pytest.mark.parametrize("kept", [True, False])
def test_no_neurons_have_empty_results(n_vocab: int, kept: bool) -> None:
    u_VD, one = random(n_vocab, 64, seed=1), top_tokens(random(1, 64), random(40, 64, seed=1), 8)
    found = top_tokens(torch.empty(0, 64), Vocabulary(u_VD) if kept else u_VD, 8)
    for name, values in vars(one).items():
        if name != "n_fallback":
            assert getattr(found, name).shape == (0, *values.shape[1:])
            assert getattr(found, name).dtype == values.dtype
    assert found.n_fallback == 0


@pytest.mark.parametrize("k", [64, 95, 96, 97])  # 8 * FOLD * 96 tokens: the last goes the float32 way
def test_k_around_the_limit_of_the_fast_path(k: int) -> None:
    assert_exact(top_tokens, random(12, 64) * 0.05, random(8 * FOLD * 96, 64, seed=1), k)


@pytest.mark.parametrize("segment", [TILE, 3 * TILE])
def test_a_vocabulary_searched_in_segments(segment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "SEGMENT", segment)
    w_ND, u_VD = random(40, 64) * 0.05, random(9 * TILE + 77, 64, seed=1)
    u_VD[5000:] *= 1.5  # the floor rises late
    found = assert_exact(fast, w_ND, u_VD, 8)
    assert found.n_fallback == 0
    assert_lse(found, w_ND, u_VD, atol=1e-3)


def test_scores_of_tokens_in_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "_BLOCK_BYTES", 1 << 13)
    assert_exact(fast, random(50, 64), random(5000, 64, seed=1), 8)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_exact(fast, random(70, 64), random(5000, 64, seed=1), 8)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_modes_that_belong_to_a_thread() -> None:
    w_ND, u_VD = torch.nn.Parameter(random(70, 64)), torch.nn.Parameter(random(5000, 64, seed=1))
    expected = fast(w_ND.detach(), u_VD.detach(), 8)
    assert torch.equal(top_tokens(w_ND, u_VD, 8).raised_token_NK, expected.raised_token_NK)
    with torch.inference_mode():
        found = top_tokens(w_ND.clone(), u_VD.clone(), 8)
    assert torch.equal(found.raised_token_NK, expected.raised_token_NK)


def test_near_ties_that_straddle_the_last_place() -> None:
    # Around the k-th place lie tokens whose logits differ in the last bits of float32, in an order of their own.
    w_ND, u_VD, k = random(20, 64), random(6000, 64, seed=1), 16
    rows = (w_ND @ u_VD.T).topk(k + 8, dim=1).indices[0]
    u_VD[rows[k - 4 :]] = u_VD[rows[k]] * (1 + 3e-8 * torch.arange(12).flip(0))[:, None]
    logits = (w_ND[0].double() @ u_VD[rows].double().T).float()
    assert len(logits.unique()) < len(logits), "some must be equal in float32"
    assert_exact(fast, w_ND, u_VD, k)


def test_all_rows_equal_and_rows_of_zeros() -> None:
    w_ND, u_VD = random(1, 64).repeat(9, 1), random(5000, 64, seed=1)
    w_ND[4] = 0
    u_VD[::3] = 0
    assert_exact(top_tokens, w_ND, u_VD, 10)
    assert_exact(top_tokens, w_ND, torch.ones(5000, 64), 10)


@pytest.mark.parametrize("neurons", [1, 40])
def test_nothing_but_zeros_where_every_token_is_a_candidate_of_both_signs(neurons: int) -> None:
    """k is large beside the vocabulary: no neuron has too many candidates, and all of them stand on both sides."""
    assert_exact(top_tokens, torch.zeros(neurons, 64), random(8192, 64, seed=1), 50)


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e-42])
def test_norms_far_from_one_in_some_rows(scale: float) -> None:
    w_ND, u_VD = random(10, 64) * 0.05, random(5000, 64, seed=1)
    w_ND[2] *= scale
    w_ND[5, :] = 0
    w_ND[5, 7] = scale
    assert_exact(top_tokens, w_ND, u_VD, 10)
    u_VD[77] *= scale
    w_ND[2] /= 1e4
    assert_exact(top_tokens, w_ND[:2], u_VD, 10)


def test_second_moments_make_log_sum_exp_more_accurate(monkeypatch: pytest.MonkeyPatch) -> None:
    for guard in ("LSE_GUARD", "LSE_GUARD_WITHOUT_MOMENTS"):
        monkeypatch.setattr(screening, guard, torch.inf)
    # An uneven spectrum, so that what rounding takes from w goes along with the logits.
    u_VD = random(6000, 64, seed=1) * torch.logspace(0, -2, 64)
    w_ND = random(200, 64) * 0.8
    logits = (w_ND.double() @ u_VD.double().T).logsumexp(1)
    errors = [
        (screening.screened_top(w_ND, Vocabulary(u_VD, kept=kept), 8, 1 << 24, cpu).raised_lse_N - logits).abs().mean()
        for kept in (False, True)
    ]
    assert errors[1] < errors[0] / 2
