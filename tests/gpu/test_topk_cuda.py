"""The top-k on a GPU against float64 on the processor; skipped without one."""

from __future__ import annotations

import pytest
import torch

from builders.decoding.topk.top import top_tokens
from builders.decoding.topk.vocabulary import Vocabulary
from tests.builders.decoding.topk import cases
from tests.builders.decoding.topk.cases import assert_lse, random
from tests.gpu.device import DEVICE, MARKS

pytestmark = MARKS


def on_gpu(w_ND: torch.Tensor, u_VD: torch.Tensor, k: int):
    return top_tokens(w_ND.to(DEVICE), Vocabulary(u_VD.to(DEVICE)), k)


@pytest.mark.parametrize("n_vocab", [4096, 10_007])
@pytest.mark.parametrize("as_bfloat16", [True, False])
def test_random_weights(n_vocab: int, as_bfloat16: bool) -> None:
    w_ND, u_VD = random(300, 256) * 0.02, random(n_vocab, 256, seed=1)
    if as_bfloat16:
        w_ND, u_VD = w_ND.bfloat16().float(), u_VD.bfloat16().float()
    assert_lse(cases.assert_exact(on_gpu, w_ND, u_VD, 32), w_ND, u_VD, atol=1e-3)


def test_adversarial_rows_among_ordinary_ones() -> None:
    w_ND, u_VD = random(40, 128) * 0.05, random(6000, 128, seed=1)
    w_ND[3], w_ND[5], w_ND[8], w_ND[9] = 0, w_ND[5] * 1e-37, w_ND[8] * 1e12, 1.0
    u_VD[100:140] = u_VD[100]  # ties
    cases.assert_exact(on_gpu, w_ND, u_VD, 16)


def test_near_ties_below_the_float32_error() -> None:
    direction = random(256, seed=2)
    w_ND = direction[None] * torch.tensor([[1.0], [-1.0]])
    cases.assert_exact(on_gpu, w_ND, direction + 1e-6 * random(5000, 256, seed=3), 16)
