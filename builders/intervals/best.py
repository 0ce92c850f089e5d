"""The closed interval of a neuron's activation with the largest coverage - leakage for a concept.

Coverage is the share of the concept's values inside, leakage that of all others. Of a sorted row it is a maximum
subarray (Bentley 1984) with weights 1/n for the concept's values and -1/n_rest for the others: the largest rise of
the running sum. It begins and ends at values of the concept, so only these are looked at. Everything is counted in
whole numbers, and equal values are never split.

Axes: N neurons, M values of the concept.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from atlas.errors import BuildError
from builders.gaussians.sorting import place_of_max, running_max

MOST_VALUES = 200_000
"""Values of a neuron: beyond them the weighted sums may exceed the whole numbers that float64 holds."""


def whole_numbers(n_all: int, n: int) -> torch.dtype:
    """What holds the weighted sums of n_all values of a neuron, n at most of one concept: int32 where it can, which is
    faster, else float64."""
    return torch.int32 if 4 * (n + 1) * (n_all + 1) ** 2 < 2**31 else torch.float64


class Intervals(NamedTuple):
    """One interval a neuron, [N] each. An empty one, where the concept has no value, is [+inf, -inf]."""

    lower: Tensor
    upper: Tensor
    """float32: both belong to the interval. Infinite where nothing was seen beyond: what is more extreme than all
    that was seen is inside too."""
    inside: Tensor
    """The concept's values in it, int64."""
    others_inside: Tensor
    """All other values in it, int64."""


def best_intervals(values_NM: Tensor, smaller_NM: Tensor, not_larger_NM: Tensor | None, n_all: int) -> Intervals:
    """The best interval from the concept's values, ascending, and how many of all n_all values are below each.

    `smaller_NM`, `not_larger_NM`: values (the concept's own among them) that are smaller than each, and that are not
    larger, in the type of `whole_numbers`; None where no two values of a neuron are equal. Among intervals with the
    same coverage - leakage the one with the fewest others inside is taken, then the narrowest, then the lowest. Raises
    BuildError for more values than can be counted exactly.
    """
    if n_all > MOST_VALUES:
        raise BuildError(
            f"intervals are exact for up to {MOST_VALUES:,} values a neuron, not {n_all:,}",
            "Use --limit-per-concept, another --position, or --folds 0.",
        )
    width, n = values_NM.shape
    n_rest = n_all - n
    if not n:
        nothing, zero = values_NM.new_full((width,), torch.inf), torch.zeros(width, dtype=torch.int64)
        return Intervals(nothing, -nothing, zero.to(nothing.device), zero.to(nothing.device))
    # The running sum, times n · n_rest · (n_rest + 1): the 1 beside the weight of the others prefers fewer of them,
    # and all of them together weigh less than the smallest difference of coverage - leakage.
    own, other = max(1, n_rest * (n_rest + 1)), n * (n_rest + 1) + 1
    place = torch.arange(n, dtype=smaller_NM.dtype, device=values_NM.device) * (own + other)
    # How far the sum has fallen before each value. Of equal values of the concept this is right for the first, and the
    # sum after each for the last; for those between them both are less good, so that they are never chosen.
    fallen = (smaller_NM * other).sub_(place)
    highest = running_max(fallen)
    if not_larger_NM is None:
        rise = (highest - fallen).add_(own)
    else:
        rise = (not_larger_NM * -other).add_(place).add_(own + other).add_(highest)
    last = place_of_max(rise)
    equal = rise == rise.gather(1, last)
    if equal.count_nonzero() > width:
        several = equal.sum(dim=1) > 1
        value, climb = values_NM[several].double(), highest[several]
        # A running maximum was first reached where it is reached alone: where the interval begins.
        width_NM = value - value.gather(1, torch.searchsorted(climb, climb))
        last[several] = width_NM.masked_fill_(~equal[several], torch.inf).argmin(dim=1, keepdim=True)
    first = torch.searchsorted(highest, highest.gather(1, last))
    smaller = smaller_NM.gather(1, first).long()
    not_larger = (
        smaller_NM.gather(1, last).long() + 1 if not_larger_NM is None else not_larger_NM.gather(1, last).long()
    )
    lower = values_NM.gather(1, first).masked_fill_(smaller == 0, -torch.inf)
    upper = values_NM.gather(1, last).masked_fill_(not_larger == n_all, torch.inf)
    inside = last + 1 - first
    return Intervals(*(each[:, 0] for each in (lower, upper, inside, not_larger - smaller - inside)))
