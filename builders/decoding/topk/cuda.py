"""The two products of `builders.decoding.topk.screening` on an NVIDIA GPU: tensor cores, then one Triton kernel each.

The product of a chunk is written once, in bfloat16, and read once, by `_scan`; later only the few blocks that can hold
a top token are looked at again. Triton runs these kernels on a processor, too, when TRITON_INTERPRET=1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
import triton
import triton.language as tl

from builders.decoding.topk.rounding import float32_sums
from builders.decoding.topk.vocabulary import FOLD, TILE, Segment, Vocabulary

ROWS = 4096  # neurons per chunk: enough for the tensor cores, and 2 bytes per neuron and token of memory
SEGMENT = STRIPE = 1 << 30  # the whole vocabulary: one product, kept as one matrix
_SLICE = 256  # dimensions of a float64 dot product taken at a time
T, R = TypeVar("T"), TypeVar("R")


def workers() -> int:
    """One: kernels fill the device by themselves."""
    return 1


def each(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """[work(item) for item in items]."""
    return [work(item) for item in items]


def scratch(size: int, device: torch.device) -> torch.Tensor:
    """As `screening.Products.scratch`."""
    return torch.empty(size, dtype=torch.bfloat16, device=device)


def product(
    low_nD: torch.Tensor, segment: Segment, y: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `screening.Products.product`."""
    n, padded = len(low_nD), len(segment.low_SD)
    y_nP = y[: n * padded].view(n, padded)
    with float32_sums(y.device):
        torch.addmm(y_nP, low_nD, segment.low_SD.T, beta=0, alpha=scale, out=y_nP)
    tiles = triton.cdiv(padded, TILE)
    highest_nM, lowest_nM = torch.empty((2, n, padded // FOLD), device=y.device)
    sum_n2t = torch.empty((n, 2, tiles), device=y.device)
    _scan[(n, tiles)](y_nP, highest_nM, lowest_nM, sum_n2t, padded, segment.n_real, tiles, TILE, FOLD)
    return highest_nM, lowest_nM, sum_n2t.sum(2, dtype=torch.float64)


def at_least(x_nC: torch.Tensor, floor_n: torch.Tensor) -> torch.Tensor:
    """As `collect.Search.at_least`."""
    return (x_nC >= floor_n[:, None]).flatten().nonzero()[:, 0]


def largest(x_nC: torch.Tensor, k: int) -> torch.Tensor:
    """As `collect.Search.largest`."""
    return x_nC.topk(k, dim=1).values


def exact_logits(
    w_ND: torch.Tensor, vocabulary: Vocabulary, row_P: torch.Tensor, token_P: torch.Tensor
) -> torch.Tensor:
    """As `screening.Products.exact_logits`. Pairs go by token, so that a row of U is read from memory once."""
    token_S, order_S = token_P.sort()
    score_P = torch.empty(len(row_P), device=w_ND.device)
    if len(row_P):
        _dot[(len(row_P),)](w_ND, vocabulary.u_VD, row_P, token_S, order_S, score_P, w_ND.shape[1], _SLICE)
    return score_P


@triton.jit
def _scan(y, highest, lowest, sums, padded, n_vocab, tiles, TILE: tl.constexpr, FOLD: tl.constexpr):
    """One tile of one neuron: maxima and minima of its blocks, and its two sums of powers."""
    row, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    stride = tl.minimum(padded - tile * TILE, TILE) // FOLD
    block = tl.arange(0, TILE // FOLD)
    token = tile * TILE + tl.arange(0, FOLD)[:, None] * stride + block[None, :]
    held = (block < stride)[None, :] & (token < padded)
    value = tl.load(y + row * padded + token, mask=held, other=0.0).to(tl.float32)
    place = row * (padded // FOLD) + tile * (TILE // FOLD) + block
    tl.store(highest + place, tl.max(value, axis=0), mask=block < stride)
    tl.store(lowest + place, tl.min(value, axis=0), mask=block < stride)
    real = held & (token < n_vocab)
    power = tl.exp2(value)
    total = row * 2 * tiles + tile
    tl.store(sums + total, tl.sum(tl.sum(tl.where(real, power, 0.0), axis=1), axis=0))
    tl.store(sums + total + tiles, tl.sum(tl.sum(tl.where(real, 1.0 / power, 0.0), axis=1), axis=0))


@triton.jit
def _dot(w, u, rows, tokens, order, scores, d_model, SLICE: tl.constexpr):
    """One pair: the float64 dot product of a neuron and a token, rounded to float32, to its place."""
    pair = tl.load(order + tl.program_id(0))
    row = tl.load(rows + pair).to(tl.int64)
    token = tl.load(tokens + tl.program_id(0)).to(tl.int64)
    total = tl.zeros((SLICE,), dtype=tl.float64)
    for start in range(0, d_model, SLICE):
        inner = start + tl.arange(0, SLICE)
        left = tl.load(w + row * d_model + inner, mask=inner < d_model, other=0.0).to(tl.float64)
        right = tl.load(u + token * d_model + inner, mask=inner < d_model, other=0.0).to(tl.float64)
        total += left * right
    tl.store(scores + pair, tl.sum(total, axis=0).to(tl.float32))
