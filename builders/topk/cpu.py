"""The device part of `builders.topk.screening` on a processor, made for bfloat16 dot-product instructions.

Workers are threads with one core each: they share nothing until their part is done, so that no core waits for another.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from builders.topk.vocabulary import FOLD, TILE, Segment, Vocabulary

ROWS = 256  # neurons per chunk: their logits of one tile stay in the second-level cache
SEGMENT = 48 * TILE  # tokens searched at a time, which bounds the memory
STRIPE = TILE
_BLOCK_BYTES = 1 << 21  # of float64 token rows held at a time
_GROUP_BYTES = 1 << 24  # of float64 neurons held at a time
T, R = TypeVar("T"), TypeVar("R")


def workers() -> int:
    """As many as torch may use threads."""
    return torch.get_num_threads()


def each(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """[work(item) for item in items], by threads in which torch runs on one core."""
    items, threads = list(items), torch.get_num_threads()
    if threads == 1 or len(items) < 2:
        return [work(item) for item in items]
    inference = torch.is_inference_mode_enabled()

    def quietly(item: T) -> R:
        with torch.inference_mode(inference):
            return work(item)

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(quietly, items))
    finally:
        torch.set_num_threads(threads)  # a thread's own number, and that of threads to come


def product(
    low_nD: torch.Tensor, segment: Segment, y: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `screening.Products.product`, stripe by stripe while the logits are in the cache."""
    n, padded = len(low_nD), len(segment.low_SD)
    highest_nM, lowest_nM = torch.empty((2, n, padded // FOLD))
    wide, ones = torch.empty(n * TILE), torch.ones(TILE)
    sum_t2n = torch.empty((-(-padded // TILE), 2, n))
    for tile, start in enumerate(range(0, padded, TILE)):
        low_TD = segment.low_SD[start : start + TILE]
        y_nT = y[n * start : n * (start + len(low_TD))].view(n, -1)
        torch.addmm(y_nT, low_nD, low_TD.T, beta=0, alpha=scale, out=y_nT)
        wide_nT = wide[: n * len(low_TD)].view(n, -1).copy_(y_nT)
        folded = wide_nT.unflatten(1, (FOLD, -1))
        blocks = slice(start // FOLD, (start + len(low_TD)) // FOLD)
        torch.amax(folded, 1, out=highest_nM[:, blocks])
        torch.amin(folded, 1, out=lowest_nM[:, blocks])
        powers = wide_nT[:, : segment.n_real - start].exp2_()  # a product with ones is the fastest sum
        torch.mv(powers, ones[: powers.shape[1]], out=sum_t2n[tile, 0])
        torch.mv(powers.reciprocal_(), ones[: powers.shape[1]], out=sum_t2n[tile, 1])
    return highest_nM, lowest_nM, sum_t2n.sum(0, dtype=torch.float64).T


def at_least(x_nC: torch.Tensor, floor_n: torch.Tensor) -> torch.Tensor:
    """As `collect.Search.at_least`; NumPy compares and searches several times as fast as torch."""
    return torch.from_numpy(np.flatnonzero(x_nC.numpy() >= floor_n.numpy()[:, None]))


def largest(x_nC: torch.Tensor, k: int) -> torch.Tensor:
    """As `collect.Search.largest`."""
    place = x_nC.shape[1] - k
    return torch.from_numpy(np.partition(x_nC.numpy(), place, axis=1)[:, place:])


def exact_logits(
    w_ND: torch.Tensor, vocabulary: Vocabulary, row_P: torch.Tensor, token_P: torch.Tensor
) -> torch.Tensor:
    """As `screening.Products.exact_logits`.

    Walks the wanted tokens once per group of neurons whose float64 vectors stay in the cache: their rows of U turn into
    float64 a block at a time, and a sampled product computes the wanted entries only.
    """
    rows = max(1, _GROUP_BYTES // (8 * w_ND.shape[1]))
    group_P = row_P // rows
    order_S = (group_P * len(vocabulary.u_VD) + token_P).argsort()
    row_S, token_S, score_S = row_P[order_S], token_P[order_S], torch.empty(len(row_P))
    end = 0
    for group, count in enumerate(torch.bincount(group_P).tolist()):
        pairs, end, first = slice(end, end + count), end + count, group * rows
        _group_scores(w_ND[first : first + rows], vocabulary, row_S[pairs] - first, token_S[pairs], score_S[pairs])
    return torch.empty_like(score_S).index_copy_(0, order_S, score_S)


def _group_scores(
    w_nD: torch.Tensor, vocabulary: Vocabulary, row_P: torch.Tensor, token_P: torch.Tensor, score_P: torch.Tensor
) -> None:
    """u . w of pairs sorted by token into score_P, rounded to its float32."""
    wide_nD = w_nD.double()
    source_VD = vocabulary.low_PD if vocabulary.lossless else vocabulary.u_VD
    count_V = torch.bincount(token_P, minlength=len(vocabulary.u_VD))
    wanted_T = count_V.nonzero()[:, 0]
    start_T = F.pad(count_V[wanted_T].cumsum(0), (1, 0))
    tokens = max(1, _BLOCK_BYTES // (8 * w_nD.shape[1]))

    def score(part: tuple[int, int]) -> None:
        for first in range(*part, tokens):
            last = min(first + tokens, part[1])
            pairs = slice(int(start_T[first]), int(start_T[last]))
            u_bD = source_VD.index_select(0, wanted_T[first:last]).double()
            score_P[pairs] = _sampled(u_bD, wide_nD, start_T[first : last + 1] - pairs.start, row_P[pairs])

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # "in beta state", said once per process
        edges = np.linspace(0, len(wanted_T), 4 * workers() + 1).astype(int).tolist()
        each(score, pairwise(edges))


def _sampled(u_bD: torch.Tensor, w_ND: torch.Tensor, start_b: torch.Tensor, row_S: torch.Tensor) -> torch.Tensor:
    """u . w of pairs sorted by token; the pairs of token j are start_b[j] to start_b[j + 1], row_S their neurons."""
    zero_S = torch.zeros(len(row_S), dtype=torch.float64)
    pattern = torch.sparse_csr_tensor(start_b, row_S, zero_S, (len(u_bD), len(w_ND)))
    return torch.sparse.sampled_addmm(pattern, u_bD, w_ND.T, beta=0.0).values()
