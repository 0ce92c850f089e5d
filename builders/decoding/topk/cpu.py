"""The device part of `builders.decoding.topk.screening` on a processor, made for bfloat16 dot-product instructions.

Products go by threads with one core each: they share nothing until their part is done, so that no core waits for
another. Only what consists of long steps gains by that: Python's interpreter lock makes short ones wait for each other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from builders.decoding.topk.vocabulary import FOLD, TILE, Segment, Vocabulary

ROWS = 256  # neurons per chunk: their logits of one tile stay in the second-level cache
SEGMENT = 48 * TILE  # tokens searched at a time, which bounds the memory
STRIPE = TILE
_BLOCK_BYTES = 1 << 21  # of float64 token rows held at a time
T, R = TypeVar("T"), TypeVar("R")


def workers() -> int:
    """As many as torch may use threads."""
    return torch.get_num_threads()


def each(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """[work(item) for item in items], by threads in which torch runs on one core."""
    items, threads = list(items), torch.get_num_threads()
    crew = min(threads, len(items))
    if crew < 2:
        return [work(item) for item in items]
    inference = torch.is_inference_mode_enabled()
    all_there = Barrier(crew, timeout=60)  # a thread that works already would keep this one from starting others

    def quietly(item: T) -> R:
        with torch.inference_mode(inference):
            return work(item)

    try:
        with ThreadPoolExecutor(crew, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(lambda _: all_there.wait(), range(crew)))
            return list(pool.map(quietly, items))
    finally:
        torch.set_num_threads(threads)  # a thread's own number, and that of threads to come


def scratch(size: int, device: torch.device) -> torch.Tensor:
    """As `screening.Products.scratch`; NumPy asks for large pages, which are touched and looked up faster."""
    return torch.from_numpy(np.empty(size, np.int16)).view(torch.bfloat16)


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
    return torch.from_numpy(np.sort(x_nC.numpy(), axis=1)[:, -k:]).flip(1)


def exact_logits(
    w_ND: torch.Tensor, vocabulary: Vocabulary, row_P: torch.Tensor, token_P: torch.Tensor
) -> torch.Tensor:
    """As `screening.Products.exact_logits`.

    Walks the wanted tokens once: their rows of U turn into float64 a block at a time, and a sampled product computes
    the wanted entries only.
    """
    # One integer per pair, sorted by token, that remembers its place: NumPy sorts those fastest.
    key_S = torch.from_numpy(np.sort(((token_P << 32) + torch.arange(len(token_P))).numpy()))
    token_S, order_S = key_S >> 32, key_S & 0xFFFFFFFF
    row_S, score_S = row_P.index_select(0, order_S), torch.empty(len(row_P))
    source_VD = vocabulary.low_PD if vocabulary.lossless else vocabulary.u_VD
    count_V = torch.bincount(token_S, minlength=len(vocabulary.u_VD))
    wanted_T = count_V.nonzero()[:, 0]
    start_T = F.pad(count_V[wanted_T].cumsum(0), (1, 0))
    # A pair may stand on both sides, but a pattern may not hold more entries than its matrix: then one twice as wide.
    more = len(w_ND) if count_V.amax() > len(w_ND) else 0
    wide_ND = F.pad(w_ND.double(), (0, 0, 0, more))
    tokens = max(1, _BLOCK_BYTES // (8 * w_ND.shape[1]))
    zero_S = torch.zeros(len(row_P), dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # "in beta state", said once per process
        for first in range(0, len(wanted_T), tokens):
            wanted_b, start_b = wanted_T[first : first + tokens], start_T[first : first + tokens + 1]
            pairs = slice(int(start_b[0]), int(start_b[-1]))
            u_bD = source_VD.index_select(0, wanted_b).double()
            pattern = torch.sparse_csr_tensor(
                start_b - pairs.start, row_S[pairs], zero_S[pairs], (len(u_bD), len(wide_ND)), check_invariants=False
            )
            score_S[pairs] = torch.sparse.sampled_addmm(pattern, u_bD, wide_ND.T, beta=0.0).values()
    return torch.empty_like(score_S).index_copy_(0, order_S, score_S)
