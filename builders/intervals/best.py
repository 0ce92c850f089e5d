"""The closed interval of a neuron's activation with the largest coverage - leakage for a concept.

Coverage is the share of the concept's values inside, leakage that of all others. Of a sorted row it is a maximum
subarray (Bentley 1984) with weights 1/n for the concept's values and -1/n_rest for the others: the largest rise of
the running sum. It begins and ends at values of the concept, so only these are looked at. Everything is counted in
whole numbers, and equal values are never split.

Several sets of values are looked at side by side: what is not in a set weighs nothing there.

Axes: M values of the concept, S sets of values, N neurons, K pairs of a set and a neuron.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from atlas.errors import BuildError
from builders.intervals.grouped import NOT_LARGER, OWN, SMALLER, Grouped
from builders.intervals.scan import places_of, sums

MOST_VALUES = 1_200_000
"""Values of a neuron: beyond them the weighted sums may exceed the whole numbers that int64 holds."""


def whole_numbers(n_all: int, n: int) -> torch.dtype:
    """What holds the weighted sums of n_all values of a neuron, n at most of one concept: the fastest that does."""
    largest, bits = 4 * (n + 1) * (n_all + 1) ** 2, ((31, torch.int32), (53, torch.float64))
    return next((kind for bound, kind in bits if largest < 1 << bound), torch.int64)


class Intervals(NamedTuple):
    """One interval a neuron, [N] each with any axes before it. An empty one, where the concept has no value, is
    [+inf, -inf]."""

    lower: Tensor
    upper: Tensor
    """float32: both belong to the interval. Infinite where nothing was seen beyond: what is more extreme than all
    that was seen is inside too."""
    inside: Tensor
    """The concept's values in it, int64."""
    others_inside: Tensor
    """All other values in it, int64."""


def best_intervals(values: Grouped, n_S: np.ndarray, kind: torch.dtype, n_all_S: np.ndarray) -> Intervals:
    """The best interval from a concept's values in each set of values; [S, N] each.

    `n_S`, `n_all_S`: values of each set, those of the concept and all; `kind`: of the sums, see `whole_numbers`. Among
    intervals with the same coverage - leakage the one with the fewest others inside is taken, then the narrowest, then
    the lowest. Raises BuildError for more values than can be counted exactly.
    """
    if (most := int(np.max(n_all_S))) > MOST_VALUES:
        raise BuildError(
            f"intervals are exact for up to {MOST_VALUES:,} values a neuron, not {most:,}",
            "Use --limit-per-concept, another --position, or --folds 0.",
        )
    n_rest_S, device = n_all_S - n_S, values.values_EN.device
    if not n_S.any():
        nothing = torch.full((len(n_S), values.values_EN.shape[1]), torch.inf, device=device)
        none = torch.zeros_like(nothing, dtype=torch.int64)
        return Intervals(nothing, -nothing, none, none)
    # The running sum, times n · n_rest · (n_rest + 1): the 1 beside the weight of the others prefers fewer of them,
    # and all of them together weigh less than the smallest difference of coverage - leakage.
    own_S, other_S = np.maximum(1, n_rest_S * (n_rest_S + 1)), n_S * (n_rest_S + 1) + 1
    # Of equal values of the concept how far the sum has fallen is right before the first, and how far it has risen
    # after the last; for those between them both are less good, so that they are never chosen. A value that is not in
    # the set neither rises nor falls: of several equal ends the first is in it, of several equal beginnings the last.
    other, both = (torch.from_numpy(each).to(device, kind) for each in (other_S, own_S + other_S))
    rise, since = sums(values, other, both)
    best = rise.amax(dim=0)
    last, final = places_of(rise, best)
    several = (final > last).nonzero().T
    # Unless all ends beyond the first are not in the set.
    several = several[:, values.own(final[*several], *several) > values.own(last[*several], *several)]
    if several.numel():
        last[*several] = _narrowest(values, rise, since, best, several)
    first = since.gather(0, last[None])[0].long() - 1
    own, smaller, not_larger = values.at(OWN, last), values.at(SMALLER, first), values.at(NOT_LARGER, last)
    inside = own - values.at(OWN, first) + 1
    lower = values.values_EN.gather(0, first).masked_fill_(smaller == 0, -torch.inf)
    n_all = torch.from_numpy(n_all_S).to(device)[:, None]
    upper = values.values_EN.gather(0, last).masked_fill_(not_larger == n_all, torch.inf)
    found = Intervals(lower, upper, inside.long(), (not_larger - smaller - inside).long())
    for each, nothing in zip(found, (torch.inf, -torch.inf, 0, 0), strict=True):
        each[torch.from_numpy(n_S == 0).to(device)] = nothing
    return found


def _narrowest(values: Grouped, rise: Tensor, since: Tensor, best_SN: Tensor, several: Tensor) -> Tensor:
    """Where the narrowest of equally good intervals ends, the first of several; `several`: set and neuron of each."""
    sets_K, neurons_K = several
    place_M1 = torch.arange(len(rise), device=rise.device)[:, None]
    own_MK = values.own(place_M1, sets_K, neurons_K)
    kept_MK = own_MK.diff(dim=0, prepend=torch.zeros_like(own_MK[:1])) > 0
    values_MK = values.values_EN[:, neurons_K].double()
    width_MK = values_MK - values_MK.gather(0, since[:, sets_K, neurons_K].long() - 1)
    good_MK = (rise[:, sets_K, neurons_K] == best_SN[sets_K, neurons_K]) & kept_MK
    return width_MK.masked_fill_(~good_MK, torch.inf).argmin(dim=0)
