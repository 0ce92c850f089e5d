"""Exact scores of (neuron, token) pairs, and the order among them. Pairs are sorted by neuron."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch

_BLOCK_BYTES = 1 << 21  # of float64 token rows held at a time


def exact_logits(
    w_ND: torch.Tensor, u_VD: torch.Tensor, sets: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> list[torch.Tensor]:
    """float64 w_row . u_token rounded to float32, [P], for each set of (row_P, token_P) without repetitions.

    Walks the vocabulary once: rows of U turn into float64 a block at a time, and a sampled product computes
    the wanted entries only, without gathering any vector.
    """
    wide_ND = w_ND.double()
    tokens = max(1, _BLOCK_BYTES // (8 * u_VD.shape[1]))
    edges = torch.arange(0, len(u_VD) + tokens, tokens)
    work = []
    for row_P, token_P in sets:
        token_S, order_S = token_P.sort()
        bounds = torch.searchsorted(token_S, edges).tolist()
        work.append((token_S, row_P[order_S], order_S, bounds, torch.empty(len(row_P))))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # "in beta state", said once per process
        for block, u_bD in enumerate(u_VD.split(tokens)):
            wide_bD = u_bD.double()
            for token_S, row_S, order_S, bounds, score_P in work:
                part = slice(bounds[block], bounds[block + 1])
                if part.start < part.stop:
                    score_P[order_S[part]] = _sampled(
                        wide_bD, wide_ND, token_S[part] - block * tokens, row_S[part]
                    ).float()
    return [score_P for *_, score_P in work]


def _sampled(u_bD: torch.Tensor, w_ND: torch.Tensor, token_S: torch.Tensor, row_S: torch.Tensor) -> torch.Tensor:
    """u[token] . w[row] for pairs sorted by token."""
    start_b = torch.searchsorted(token_S, torch.arange(len(u_bD) + 1))
    zero_S = torch.zeros(len(row_S), dtype=torch.float64)
    pattern = torch.sparse_csr_tensor(start_b, row_S, zero_S, (len(u_bD), len(w_ND)))
    return torch.sparse.sampled_addmm(pattern, u_bD, w_ND.T, beta=0.0).values()


def dense(row_P: torch.Tensor, n_rows: int, least: int, *columns: tuple[torch.Tensor, float]) -> list[torch.Tensor]:
    """Each (values, fill) as a matrix [n_rows, C]: the pairs of a row side by side, C the longest row or `least`."""
    count_N = torch.bincount(row_P, minlength=n_rows)
    first_N = count_N.cumsum(0) - count_N
    width = max(least, int(count_N.max()))
    place_P = row_P * width + torch.arange(len(row_P)) - first_N[row_P]
    filled = []
    for values_P, fill in columns:
        matrix = torch.full((n_rows * width,), fill, dtype=values_P.dtype)
        matrix[place_P] = values_P
        filled.append(matrix.view(n_rows, width))
    return filled


def first_k(
    row_P: torch.Tensor, token_P: torch.Tensor, logit_P: torch.Tensor, n_rows: int, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(token [n_rows, k], logit [n_rows, k]) by descending float32 logit, ties by ascending token.

    One integer orders both: the bits of the logit, made monotone, above the negated token.
    """
    bits_P = (logit_P + 0.0).view(torch.int32)  # -0 becomes +0, its equal
    bits_P = bits_P ^ ((bits_P >> 31) & 0x7FFFFFFF)
    key_P = (bits_P.long() << 32) - token_P
    (key_NC,) = dense(row_P, n_rows, k, (key_P, torch.iinfo(torch.int64).min + (1 << 32)))
    key_NK = key_NC.topk(k, dim=1).values
    token_NK = -key_NK & 0xFFFFFFFF
    bits_NK = ((key_NK + token_NK) >> 32).int()
    return token_NK, (bits_NK ^ ((bits_NK >> 31) & 0x7FFFFFFF)).view(torch.float32)
