"""Exact top-k in bounded memory on any torch device.

Per chunk of neurons: one float32 product screens the vocabulary, the best k + SPARE candidates of each sign
are scored again in float64, and a proven bound says whether a token outside the candidates could still belong
to the top k. Neurons for which it could (near ties, constant rows) are searched wholly in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from builders.decoding.topk.result import TopK, order

SPARE = 8
_BLOCK = 64  # tokens per block of the two-stage selection
_UNIT = 2.0**-24  # unit roundoff of float32
_LOG_MAX = 88.0  # exp of it is just below the largest float32
_TINY = 2.0**-126  # products below the normal range may be flushed to zero
_CACHED = 1 << 21  # bytes: what a processor turns over several times is no larger, so that it stays in its cache

Look = Callable[[torch.Tensor, torch.Tensor], None]
"""What is told of a chunk before it is searched: vectors w_nD, and their float32 logits [n, V], which must stay."""


def chunked_top(
    w_ND: torch.Tensor, u_VD: torch.Tensor, k: int, memory_bytes: int = 1 << 27, look: Look | None = None
) -> TopK:
    """Top k of both signs of w_ND @ u_VD^T (float32, finite). Works on about 4 x `memory_bytes`.

    1 <= k <= V. The result equals `reference_top` (bar log-sum-exp, float32-accurate) whatever the chunking.
    """
    n_vocab, d_model = u_VD.shape
    norm_u = _largest_norm(u_VD)
    parts: list[list[torch.Tensor]] = [[] for _ in range(6)]
    n_fallback = 0
    for w_nD, chunk in products(w_ND, u_VD, memory_bytes):
        if look is not None:
            look(w_nD, chunk[:, :n_vocab])
        error_n = _error_bound(w_nD, norm_u, d_model)
        for side, sign in ((0, 1.0), (2, -1.0)):
            token, logit, unsafe = _one_sign(w_nD, u_VD, chunk, n_vocab, k, sign, error_n, memory_bytes)
            n_fallback += _search_again(w_nD, u_VD, token, logit, unsafe, k, sign, memory_bytes)
            parts[side].append(token)
            parts[side + 1].append(sign * logit)
        rows = max(1, _at_once(chunk.device, memory_bytes) // (4 * n_vocab))
        ends = (parts[1][-1][:, 0], parts[3][-1][:, 0])
        for logits_rV, highest_r, lowest_r in zip(*(part.split(rows) for part in (chunk, *ends)), strict=True):
            lse = _two_sided_lse(logits_rV[:, :n_vocab], highest_r, lowest_r)
            parts[4].append(lse[0])
            parts[5].append(lse[1])
    joined = [torch.cat(part) for part in parts]
    return TopK(*joined, n_fallback=n_fallback)


def products(w_ND: torch.Tensor, u_VD: torch.Tensor, memory_bytes: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Some vectors after others, and their logits [n, P] in float32; the columns beyond V, to a full block, are open.

    The logits lie in one buffer of about `memory_bytes`, whose content is the caller's until the next chunk.
    """
    n_vocab = len(u_VD)
    rows = max(1, min(len(w_ND), memory_bytes // (4 * (n_vocab + _BLOCK))))
    padded = -(-n_vocab // _BLOCK) * _BLOCK
    logits = torch.empty((rows, padded), dtype=torch.float32, device=u_VD.device)
    for start in range(0, len(w_ND), rows):
        w_nD = w_ND[start : start + rows]
        chunk = logits[: len(w_nD)]
        torch.mm(w_nD, u_VD.T, out=chunk[:, :n_vocab])
        yield w_nD, chunk


def look_at_all(w_ND: torch.Tensor, u_VD: torch.Tensor, memory_bytes: int, look: Look) -> None:
    """Show all logits of finite float32 vectors and search none. Works on about `memory_bytes`."""
    for w_nD, chunk in products(w_ND, u_VD, memory_bytes):
        look(w_nD, chunk[:, : len(u_VD)])


def _at_once(device: torch.device, memory_bytes: int) -> int:
    """Bytes to work on at a time."""
    return min(memory_bytes, _CACHED) if device.type == "cpu" else memory_bytes


def _largest_norm(u_VD: torch.Tensor) -> torch.Tensor:
    """The largest row norm, float64. Squares of very small or large values leave float32, so those cost more."""
    norm = u_VD.norm(dim=1).max().double()
    return norm if 1e-15 < norm < 1e15 else torch.linalg.vector_norm(u_VD, dim=1, dtype=torch.float64).max()


def _error_bound(w_nD: torch.Tensor, norm_u: torch.Tensor, d_model: int) -> torch.Tensor:
    """Largest |float32 logit - real logit| of each neuron, in any order of summation.

    gamma_d |w||u| with gamma_d = d u / (1 - d u) (Higham, Accuracy and Stability, section 3.1), one more unit
    for rounding the float64 score to float32, and what flushing subnormal products may lose.
    """
    gamma = d_model * _UNIT / (1 - d_model * _UNIT) + 2 * _UNIT
    return gamma * w_nD.double().norm(dim=1) * norm_u + d_model * _TINY


def _one_sign(
    w_nD: torch.Tensor,
    u_VD: torch.Tensor,
    chunk_nP: torch.Tensor,
    n_vocab: int,
    k: int,
    sign: float,
    error_n: torch.Tensor,
    memory_bytes: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(token_nK, sign * logit_nK, unsafe_n) by screening and float64 scoring."""
    n_candidates = min(k + SPARE, n_vocab)
    chunk_nP[:, n_vocab:] = -sign * torch.inf
    screened, candidates = _screen(chunk_nP, n_candidates, sign)
    logit_nC = _score(w_nD, u_VD, candidates, sign, memory_bytes)
    token, logit = order(logit_nC, candidates, k)
    if n_candidates == n_vocab:
        return token, logit, torch.zeros(len(w_nD), dtype=torch.bool, device=w_nD.device)
    # k tokens have a real logit of at least screened[k] - error; no outsider exceeds screened[last] + error.
    safe = screened[:, -1].double() + error_n < screened[:, k - 1].double() - error_n
    return token, logit, ~safe  # a product that overflowed to NaN is not safe either


def _screen(chunk_nP: torch.Tensor, n_candidates: int, sign: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The n_candidates largest of sign * chunk in each row, descending: (sign * value, column).

    Two stages: the c largest values lie in the c blocks with the largest maxima, so only those are sorted.
    """
    blocks_nBW = chunk_nP.view(len(chunk_nP), -1, _BLOCK)
    if blocks_nBW.shape[1] <= n_candidates:
        values, columns = (sign * chunk_nP).topk(n_candidates, dim=1)
        return values, columns
    maxima_nB = blocks_nBW.amax(2) if sign > 0 else -blocks_nBW.amin(2)
    best_nC = maxima_nB.topk(n_candidates, dim=1, sorted=False).indices
    picked = blocks_nBW.gather(1, best_nC[:, :, None].expand(-1, -1, _BLOCK)).flatten(1)
    values, inner = (sign * picked).topk(n_candidates, dim=1)
    columns = best_nC.gather(1, inner // _BLOCK) * _BLOCK + inner % _BLOCK
    return values, columns


def _score(
    w_nD: torch.Tensor, u_VD: torch.Tensor, candidates_nC: torch.Tensor, sign: float, memory_bytes: int
) -> torch.Tensor:
    """sign * float32 of the float64 dot products of each neuron with its own candidates."""
    n, n_candidates = candidates_nC.shape
    rows = max(1, _at_once(w_nD.device, memory_bytes) // (8 * n_candidates * w_nD.shape[1]))
    scores = torch.empty((n, n_candidates), dtype=torch.float32, device=w_nD.device)
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        u_nCD = u_VD[candidates_nC[part]].double()
        scores[part] = (sign * torch.bmm(u_nCD, w_nD[part].double()[:, :, None])[:, :, 0]).float()
    return scores


def _search_again(
    w_nD: torch.Tensor,
    u_VD: torch.Tensor,
    token_nK: torch.Tensor,
    logit_nK: torch.Tensor,
    unsafe_n: torch.Tensor,
    k: int,
    sign: float,
    memory_bytes: int,
) -> int:
    """Replace the rows marked unsafe, in place, by a search of the whole vocabulary; returns how many.

    All of them meet each part of U while that is in float64: where vectors are long, the bound marks every row.
    """
    rows = unsafe_n.nonzero()[:, 0]
    if not len(rows):
        return 0
    n_vocab, d_model = u_VD.shape
    w_Dr = w_nD[rows].double().T
    logit_rV = torch.empty((len(rows), n_vocab), dtype=torch.float32, device=u_VD.device)
    at_once = max(1, memory_bytes // (8 * d_model))
    for u_vD, logit_rv in zip(u_VD.split(at_once), logit_rV.split(at_once, dim=1), strict=True):
        logit_rv.copy_((u_vD.double() @ w_Dr).T)
    columns_V = torch.arange(n_vocab, device=u_VD.device)
    for row, logit_V in zip(rows.tolist(), logit_rV, strict=True):
        token, logit = order((sign * logit_V)[None], columns_V[None], k)
        token_nK[row], logit_nK[row] = token[0], logit[0]
    return len(rows)


def _two_sided_lse(
    logits_nV: torch.Tensor, highest_n: torch.Tensor, lowest_n: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-sum-exp of the logits and of their negatives, each [n] float64. Overwrites `logits_nV`.

    One exponential serves both signs: exp(highest - x) is 1 / exp(x - highest). The sum of these can reach
    vocabulary * exp(span of the logits); a chunk where float32 could not hold it pays for two.
    """
    if not float((highest_n - lowest_n).max()) + math.log(logits_nV.shape[1]) < _LOG_MAX:
        return logits_nV.logsumexp(1).double(), logits_nV.neg().logsumexp(1).double()
    powers_nV = logits_nV.sub_(highest_n[:, None]).exp_()
    raised_n = powers_nV.sum(1).double().log() + highest_n.double()
    lowered_n = powers_nV.reciprocal_().sum(1).double().log() - highest_n.double()
    return raised_n, lowered_n
