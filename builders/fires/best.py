"""The neurons of one layer that are farthest out at each token, without placing all of them in their distributions.

Most neurons are nowhere near an end of their distribution. Those at or beyond a stored quantile near either end are
placed; where enough of them turn out to lie farther out than that quantile, the others cannot be among the best. Tokens
where they do not are looked at again by a quantile farther in, and at last all neurons are placed. Of a further layer
only neurons are placed that may be farther out than the worst that a token keeps of the layers before.

Axes: N neurons, S tokens, K the most that a token keeps, C candidates (pairs of a token and a neuron).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from builders.fires.place import place

PERCENTILE = "percentile"
"""The order by how far out an activation is; any other is by its absolute value."""
_TIMES = (6, 24)  # candidates that a token is expected to have, in times of what it keeps; then all


class Spread(NamedTuple):
    """The distribution of the neurons of one layer, and between which bounds a value has to be, if anywhere.

    float32 [N, P] and [N]; the probabilities float64 [P], rising. NaN of neurons without a distribution.
    """

    quantiles_NP: Tensor
    probabilities_P: Tensor
    std_N: Tensor
    bounds_N: tuple[Tensor, Tensor] | None = None

    def part(self, first: int, neurons: int) -> Spread:
        """Of neurons in a row."""
        rows = slice(first, first + neurons)
        bounds = None if self.bounds_N is None else (self.bounds_N[0][rows], self.bounds_N[1][rows])
        return Spread(self.quantiles_NP[rows], self.probabilities_P, self.std_N[rows], bounds)


class Best(NamedTuple):
    """[S, K] of one site and layer, farthest out first; the key is -inf where there are fewer."""

    key: Tensor
    neuron: Tensor
    value: Tensor
    share: Tensor
    beyond: Tensor


def best(acts_NS: Tensor, spread: Spread, top: int, by: str, floor_S: Tensor | None = None) -> Best:
    """The `top` neurons of each token, all if there are fewer, by finite float32 activations. Equal ones: the lower
    neuron first. `floor_S`: of each token a key; neurons that come below it may be left out."""
    kept, can_SN = min(top, len(acts_NS)), _can(acts_NS, spread)
    if by != PERCENTILE:
        size_SN = acts_NS.abs().T.masked_fill(~can_SN, -torch.inf)
        least_S = size_SN.topk(kept, dim=1).values[:, -1]
        return _of_candidates(acts_NS, spread, can_SN & (size_SN >= least_S[:, None]), kept, by)
    if spread.bounds_N is not None:
        return _of_candidates(acts_NS, spread, can_SN, kept, by)  # an interval of a concept holds few
    if floor_S is not None and bool((floor_S > -torch.inf).all()):
        return _of_candidates(acts_NS, spread, _may_reach(acts_NS, spread, floor_S) & can_SN, kept, by)
    return _farthest(acts_NS, spread, can_SN, kept, _TIMES)


def _farthest(acts_NS: Tensor, spread: Spread, can_SN: Tensor, kept: int, times: tuple[int, ...]) -> Best:
    """By percentile, of the neurons that can be; first of those that are so rare that a few `times` `kept` are left."""
    ends = _ends(spread, kept * times[0]) if times else None
    if ends is None:
        return _of_candidates(acts_NS, spread, can_SN, kept, PERCENTILE)
    low, high, share = ends
    far_NS = acts_NS <= spread.quantiles_NP[:, low, None]
    far_NS |= acts_NS >= spread.quantiles_NP[:, high, None]
    found = _of_candidates(acts_NS, spread, far_NS.T & can_SN, kept, PERCENTILE)
    # A neuron between both quantiles has at least this share on either side, and a key of at most -share.
    open_s = (found.key[:, -1] <= -share).nonzero()[:, 0]
    if len(open_s):
        rest = _farthest(acts_NS[:, open_s], spread, can_SN[open_s], kept, times[1:])
        for column, values in zip(found, rest, strict=True):
            column[open_s] = values
    return found


def _may_reach(acts_NS: Tensor, spread: Spread, floor_S: Tensor) -> Tensor:
    """Which neurons may have a key of `floor_S` or more, [S, N]: all others lie between two stored quantiles that have
    a larger share of the running text on either side."""
    levels = _levels(spread.probabilities_P)
    shares_L = spread.probabilities_P.new_tensor([share for *_, share in levels])
    level_S = torch.searchsorted(shares_L, -floor_S, right=True)
    low_L, high_L = (torch.tensor(each, device=floor_S.device) for each in list(zip(*levels, strict=True))[:2])
    open_S = level_S == len(levels)  # no quantile is so far in
    level_S = level_S.clamp(max=len(levels) - 1)
    quantiles_PN, acts_SN = spread.quantiles_NP.T.contiguous(), acts_NS.T
    far_SN = acts_SN <= quantiles_PN[low_L[level_S]]
    far_SN |= acts_SN >= quantiles_PN[high_L[level_S]]
    return far_SN | open_S[:, None]


def _levels(probabilities_P: Tensor) -> list[tuple[int, int, float]]:
    """Pairs of quantiles below and above the middle, and the share that is outside at either at least: rising."""
    probabilities, levels = probabilities_P.tolist(), []
    for low, share in enumerate(probabilities):
        if share >= 0.25:
            break
        high = next(at for at, other in enumerate(probabilities) if other >= 1 - share)
        levels.append((low, high, min(share, 1 - probabilities[high])))
    return levels


def _can(acts_NS: Tensor, spread: Spread) -> Tensor:
    """Which neurons have a distribution, and a value between their bounds, [S, N]."""
    can_NS = (~spread.std_N.isnan())[:, None].expand(acts_NS.shape)
    if spread.bounds_N is not None:
        lower_N, upper_N = spread.bounds_N
        can_NS = can_NS & ~((acts_NS < lower_N[:, None]) | (acts_NS > upper_N[:, None]))
    return can_NS.T


def _ends(spread: Spread, wanted: int) -> tuple[int, int, float] | None:
    """Between which quantiles all but about `wanted` neurons are at a token like those of the running text, and the
    share of its tokens that is outside at either; None where that is most of the neurons."""
    for low, high, outside in _levels(spread.probabilities_P):
        if 2 * outside * len(spread.std_N) >= wanted:
            return low, high, outside
    return None


def _of_candidates(acts_NS: Tensor, spread: Spread, chosen_SN: Tensor, kept: int, by: str) -> Best:
    """The `kept` best of the chosen neurons of each token."""
    token_C, neuron_C = chosen_SN.nonzero(as_tuple=True)  # by token, then by neuron
    value_C = acts_NS[neuron_C, token_C]
    placed = place(value_C[:, None], spread.quantiles_NP[neuron_C], spread.probabilities_P, spread.std_N[neuron_C])
    share_C, beyond_C = placed.share_NS[:, 0], placed.beyond_NS[:, 0]
    key_C = placed.out()[:, 0] if by == PERCENTILE else value_C.abs().double()
    count_S = chosen_SN.sum(1)
    width = max(kept, int(count_S.max())) if len(count_S) else kept
    column_C = torch.arange(len(token_C), device=token_C.device) - (count_S.cumsum(0) - count_S)[token_C]

    places = (len(count_S), width)
    key_SW, at_SW = key_C.new_full(places, -torch.inf), token_C.new_zeros(places)
    key_SW[token_C, column_C], at_SW[token_C, column_C] = key_C, torch.arange(len(token_C), device=token_C.device)
    # Stable: of equal ones the lower neuron, whatever the batch.
    key_SK, column_SK = (each[:, :kept] for each in key_SW.sort(dim=1, descending=True, stable=True))
    columns = (neuron_C, value_C, share_C, beyond_C)
    if not len(token_C):  # nothing to point at
        return Best(key_SK.contiguous(), *(each.new_zeros(key_SK.shape) for each in columns))
    at_SK = at_SW.gather(1, column_SK)
    return Best(key_SK.contiguous(), *(each[at_SK] for each in columns))
