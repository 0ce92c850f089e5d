"""What the tests of every top-k share: the definition in NumPy, and weights from a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from builders.decoding.topk.result import TopK


def numpy_top(w_ND: torch.Tensor, u_VD: torch.Tensor, k: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, logits) by the definition, without any of our code: float64 product, float32 order, ties by id."""
    logits_NV = (w_ND.numpy().astype(np.float64) @ u_VD.numpy().astype(np.float64).T).astype(np.float32)
    tokens_NK = np.argsort(-sign * logits_NV, axis=1, kind="stable")[:, :k]
    return tokens_NK, np.take_along_axis(logits_NV, tokens_NK, 1)


def assert_exact(
    top: Callable[[torch.Tensor, torch.Tensor, int], TopK], w_ND: torch.Tensor, u_VD: torch.Tensor, k: int
) -> TopK:
    found = top(w_ND, u_VD, k)
    sides = (
        (found.raised_token_NK, found.raised_logit_NK, 1),
        (found.lowered_token_NK, found.lowered_logit_NK, -1),
    )
    for token_NK, logit_NK, sign in sides:
        tokens, logits = numpy_top(w_ND.cpu(), u_VD.cpu(), k, sign)
        np.testing.assert_array_equal(token_NK.cpu().numpy(), tokens)
        np.testing.assert_array_equal(logit_NK.cpu().numpy(), logits)
    return found


def assert_lse(found: TopK, w_ND: torch.Tensor, u_VD: torch.Tensor, atol: float) -> None:
    logits = w_ND.cpu().double() @ u_VD.cpu().double().T
    torch.testing.assert_close(found.raised_lse_N.cpu(), logits.logsumexp(1), rtol=1e-6, atol=atol)
    torch.testing.assert_close(found.lowered_lse_N.cpu(), (-logits).logsumexp(1), rtol=1e-6, atol=atol)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
