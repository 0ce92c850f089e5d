"""Pairs (neuron, token) sorted by neuron: laid out as a matrix, and the first k of each neuron."""

from __future__ import annotations

from collections.abc import Callable

import torch


def dense(row_P: torch.Tensor, n_rows: int, least: int, *columns: tuple[torch.Tensor, float]) -> list[torch.Tensor]:
    """Each (values, fill) as a matrix [n_rows, C]: the pairs of a row side by side, C the longest row or `least`."""
    count_N = torch.bincount(row_P, minlength=n_rows)
    first_N = count_N.cumsum(0) - count_N
    width = max(least, int(count_N.max()))
    place_P = row_P * width + torch.arange(len(row_P), device=row_P.device) - first_N[row_P]
    filled = []
    for values_P, fill in columns:
        matrix = values_P.new_full((n_rows * width,), fill)
        matrix[place_P] = values_P
        filled.append(matrix.view(n_rows, width))
    return filled


def first_k(
    row_P: torch.Tensor,
    token_P: torch.Tensor,
    logit_P: torch.Tensor,
    n_rows: int,
    k: int,
    largest: Callable[[torch.Tensor, int], torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """(token [n_rows, k], logit [n_rows, k]) by descending float32 logit, ties by ascending token.

    One integer orders both: the bits of the logit, made monotone, above the negated token. `largest` as in
    `builders.decoding.topk.collect.Search`.
    """
    bits_P = (logit_P + 0.0).view(torch.int32)  # -0 becomes +0, its equal
    bits_P = bits_P ^ ((bits_P >> 31) & 0x7FFFFFFF)
    key_P = (bits_P.long() << 32) - token_P
    (key_NC,) = dense(row_P, n_rows, k, (key_P, torch.iinfo(torch.int64).min + (1 << 32)))
    key_NK = largest(key_NC, k)
    token_NK = -key_NK & 0xFFFFFFFF
    bits_NK = ((key_NK + token_NK) >> 32).int()
    return token_NK, (bits_NK ^ ((bits_NK >> 31) & 0x7FFFFFFF)).view(torch.float32)
