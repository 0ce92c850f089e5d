"""What every implementation of the top-k returns, and what `exact` means.

The logit of a (neuron, token) pair is its real-number dot product, evaluated in float64 and rounded to
float32. Tokens are ordered by that float32 logit, ties by token id. This definition does not depend on a
matrix kernel, a chunk size or a device, so two machines write the same atlas.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class TopK:
    """Top-k tokens of both signs for N neurons. Columns are by rank, strongest first.

    token_NK int64 (row index of U), logit_NK float32 (U.w, so negative ones stay negative on the lowered side),
    lse_N float64: log-sum-exp of the logits (raised) and of the negated logits (lowered).
    """

    raised_token_NK: torch.Tensor
    raised_logit_NK: torch.Tensor
    lowered_token_NK: torch.Tensor
    lowered_logit_NK: torch.Tensor
    raised_lse_N: torch.Tensor
    lowered_lse_N: torch.Tensor
    n_fallback: int  # neurons whose screening bound was not met and that were searched in float64

    @staticmethod
    def empty(k: int, device: torch.device) -> TopK:
        """Of no neurons."""
        token_NK, logit_NK = (torch.empty((0, k), dtype=kind, device=device) for kind in (torch.int64, torch.float32))
        lse_N = torch.empty(0, dtype=torch.float64, device=device)
        return TopK(token_NK, logit_NK, token_NK.clone(), logit_NK.clone(), lse_N, lse_N.clone(), n_fallback=0)


def order(logit_NC: torch.Tensor, token_NC: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first k of C candidates by descending float32 logit, ties by ascending token: (token, logit)."""
    by_token = token_NC.argsort(dim=1)
    token_NC, logit_NC = token_NC.gather(1, by_token), logit_NC.gather(1, by_token)
    best = logit_NC.argsort(dim=1, descending=True, stable=True)[:, :k]
    return token_NC.gather(1, best), logit_NC.gather(1, best)
