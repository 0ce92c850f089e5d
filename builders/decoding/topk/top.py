"""The one function the builders call: exact top-k of both signs, by the fastest way the device has."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from builders.decoding.topk.chunked import Look, chunked_top, look_at_all
from builders.decoding.topk.result import TopK
from builders.decoding.topk.screening import Products, screened_top
from builders.decoding.topk.vocabulary import FOLD, Vocabulary, refuse_non_finite


def top_tokens(
    w_ND: torch.Tensor, u_VD: torch.Tensor | Vocabulary, k: int, memory_bytes: int = 1 << 27, look: Look | None = None
) -> TopK:
    """Top k of both signs of w_ND @ u_VD^T, both on one device, at most float32 wide; 1 <= k <= V.

    Give a `Vocabulary` when several matrices meet the same U: it keeps what can be computed once, and makes
    log-sum-exp of float32 weights more accurate. Tokens and logits equal those of `reference_top` exactly. Log-sum-exp
    is float32-accurate where the product is float32, and as log_sum_exp.py says where it is bfloat16.
    `look` is shown all float32 logits; where bfloat16 ones are searched, they cost a product of their own.
    No neurons have empty results. Works on about 4 x `memory_bytes`, on a GPU of at least 2 GiB. Raises BuildError
    where a weight is NaN or infinite.
    """
    w_ND = w_ND.detach().float()
    refuse_non_finite(w_ND, "neuron")
    vocabulary = u_VD if isinstance(u_VD, Vocabulary) else Vocabulary(u_VD, kept=False)
    n_vocab, d_model = vocabulary.u_VD.shape
    if not len(w_ND):
        return TopK.empty(k, w_ND.device)
    device = _products(w_ND.device)
    # Small problems gain nothing, and libraries may sum very small bfloat16 products in bfloat16.
    if device is None or n_vocab < 8 * FOLD * k or d_model < 64:
        return chunked_top(w_ND, vocabulary.u_VD, k, memory_bytes, look)
    if w_ND.is_cuda:
        memory_bytes = max(memory_bytes, 1 << 31)  # fewer neurons at a time would starve the tensor cores
    if look is not None:
        look_at_all(w_ND, vocabulary.u_VD, memory_bytes, look)
    return screened_top(w_ND, vocabulary, k, memory_bytes, device)


def uses_every_thread(device: torch.device) -> bool:
    """Whether `top_tokens` leaves nothing for another search beside it: not where it goes by float32 products, as most
    of what follows a product is too short for torch to divide among threads."""
    return device.type != "cpu" or _products(device) is not None


def _products(device: torch.device) -> Products | None:
    """The fast products of a device, if it has any: bfloat16 without instructions for it is slower than float32."""
    if device.type == "cuda" and find_spec("triton") and torch.cuda.get_device_capability(device) >= (8, 0):
        from builders.decoding.topk import cuda

        return cuda
    if device.type == "cpu" and torch.backends.mkldnn.enabled and _bfloat16_instructions():
        from builders.decoding.topk import cpu

        return cpu
    return None


def _bfloat16_instructions() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
