"""The one function the builders call: exact top-k of both signs, by the fastest way the device has."""

from __future__ import annotations

import torch

from builders.topk.chunked import chunked_top
from builders.topk.cpu import cpu_top
from builders.topk.result import TopK
from builders.topk.vocabulary import FOLD, Vocabulary


def top_tokens(w_ND: torch.Tensor, u_VD: torch.Tensor | Vocabulary, k: int, memory_bytes: int = 1 << 27) -> TopK:
    """Top k of both signs of w_ND @ u_VD^T, both float32 and finite, on one device; 1 <= k <= V.

    Give a `Vocabulary` when several matrices meet the same U: it keeps what can be computed once. Tokens and logits
    equal those of `reference_top` exactly. Log-sum-exp is float32-accurate where the product is float32, and as
    `builders.topk.cpu` says where it is bfloat16. Works on about 4 x `memory_bytes`.
    """
    vocabulary = u_VD if isinstance(u_VD, Vocabulary) else Vocabulary(u_VD)
    n_vocab = len(vocabulary.u_VD)
    if w_ND.device.type == "cpu" and n_vocab >= 8 * FOLD * k and _fast_bfloat16():
        return cpu_top(w_ND, vocabulary, k, memory_bytes)
    return chunked_top(w_ND, vocabulary.u_VD, k, memory_bytes)


def _fast_bfloat16() -> bool:
    """Has this processor bfloat16 dot products? Without them oneDNN emulates, slower than float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
