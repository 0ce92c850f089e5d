"""The two products of `builders.topk.screening` on a processor, made for bfloat16 dot-product instructions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from builders.topk.vocabulary import FOLD, TILE, Vocabulary

ROWS = 256  # neurons per chunk: their logits stay in the last-level cache
_BLOCK_BYTES = 1 << 21  # of float64 token rows held at a time


def product(
    low_nD: torch.Tensor, vocabulary: Vocabulary, y_nP: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `screening.Products.product`, tile by tile while the logits are in the cache."""
    n, padded = y_nP.shape
    highest_nM, lowest_nM = torch.empty((2, n, padded // FOLD))
    sum_n2 = torch.zeros((n, 2), dtype=torch.float64)
    wide = torch.empty((n, TILE))
    for start in range(0, padded, TILE):
        y_nT = y_nP[:, start : start + TILE]
        low_TD = vocabulary.low_PD[start : start + TILE]
        torch.addmm(y_nT, low_nD, low_TD.T, beta=0, alpha=scale, out=y_nT)
        wide_nT = wide[:, : y_nT.shape[1]].copy_(y_nT)
        folded = wide_nT.unflatten(1, (FOLD, -1))
        blocks = slice(start // FOLD, (start + TILE) // FOLD)
        torch.amax(folded, 1, out=highest_nM[:, blocks])
        torch.amin(folded, 1, out=lowest_nM[:, blocks])
        powers = wide_nT[:, : len(vocabulary.u_VD) - start].exp2_()
        sum_n2[:, 0] += powers.sum(1)
        sum_n2[:, 1] += powers.reciprocal_().sum(1)
    return highest_nM, lowest_nM, sum_n2


def exact_logits(
    w_ND: torch.Tensor, u_VD: torch.Tensor, sets: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> list[torch.Tensor]:
    """As `screening.Products.exact_logits`.

    Walks the vocabulary once: rows of U turn into float64 a block at a time, and a sampled product computes
    the wanted entries only, without gathering any vector.
    """
    wide_ND = w_ND.double()
    tokens = max(1, _BLOCK_BYTES // (8 * u_VD.shape[1]))
    work = []
    for row_P, token_P in sets:
        order_S = token_P.argsort()
        start_V = F.pad(torch.bincount(token_P, minlength=len(u_VD)).cumsum(0), (1, 0))
        work.append((start_V, row_P.index_select(0, order_S), order_S, torch.empty(len(row_P))))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # "in beta state", said once per process
        for first, u_bD in zip(range(0, len(u_VD), tokens), u_VD.split(tokens), strict=True):
            wide_bD = u_bD.double()
            for start_V, row_S, order_S, score_P in work:
                start_b = start_V[first : first + len(u_bD) + 1]
                part = slice(int(start_b[0]), int(start_b[-1]))
                if part.start < part.stop:
                    scores = _sampled(wide_bD, wide_ND, start_b - part.start, row_S[part])
                    score_P.index_copy_(0, order_S[part], scores.float())
    return [score_P for *_, score_P in work]


def _sampled(u_bD: torch.Tensor, w_ND: torch.Tensor, start_b: torch.Tensor, row_S: torch.Tensor) -> torch.Tensor:
    """u . w of pairs sorted by token; the pairs of token j are start_b[j] to start_b[j + 1], row_S their neurons."""
    zero_S = torch.zeros(len(row_S), dtype=torch.float64)
    pattern = torch.sparse_csr_tensor(start_b, row_S, zero_S, (len(u_bD), len(w_ND)))
    return torch.sparse.sampled_addmm(pattern, u_bD, w_ND.T, beta=0.0).values()
