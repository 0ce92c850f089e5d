"""The oracle: the definition written down, without any care for time or memory."""

from __future__ import annotations

import torch

from builders.decoding.topk.result import TopK, order


def reference_top(w_ND: torch.Tensor, u_VD: torch.Tensor, k: int) -> TopK:
    """Top k of both signs of w_ND @ u_VD^T, holding all N x V float64 logits."""
    exact_NV = w_ND.double() @ u_VD.double().T
    logit_NV = exact_NV.float()
    token_NV = torch.arange(len(u_VD), device=u_VD.device).expand_as(logit_NV)
    raised_token, raised_logit = order(logit_NV, token_NV, k)
    lowered_token, lowered_logit = order(-logit_NV, token_NV, k)
    return TopK(
        raised_token,
        raised_logit,
        lowered_token,
        -lowered_logit,
        exact_NV.logsumexp(1),
        (-exact_NV).logsumexp(1),
        n_fallback=0,
    )
