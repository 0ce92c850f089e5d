"""Intervals that help most where a rule is wrong: what gradient boosting calls the next weak learner.

Of one neuron, the interval whose examples have residuals with the largest sum, of either sign (Friedman 2001). The
residual of an example is its weight times (label - probability). Before there is a rule, all probabilities are one
half, and this is the interval with the largest coverage - leakage, or the largest leakage - coverage.

Axes: E examples, T training examples, M candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from builders.detectors.rule import Bounds, Proposed


def inside(acts_EM: Tensor, bounds: Bounds) -> Tensor:
    """Whether each activation is in the closed interval of its candidate, as 0 and 1, float64; compared in float32."""
    lower_M, upper_M = bounds
    return ((acts_EM >= lower_M) & (acts_EM <= upper_M)).double()


class Intervals:
    """The candidates of one concept, sorted once."""

    def __init__(self, acts_EM: Tensor, kept_E: Tensor) -> None:
        self._acts_EM = acts_EM
        self._values_MT, self._order_MT = acts_EM[kept_E].T.sort(dim=1, stable=True)
        edge = torch.ones((len(self._values_MT), 1), dtype=torch.bool, device=acts_EM.device)
        # An interval begins and ends between different values, or at the edges.
        self._cut_MT1 = torch.cat([edge, self._values_MT[:, 1:] != self._values_MT[:, :-1], edge], 1)

    def __call__(self, residual_T: Tensor) -> Proposed:
        """The interval of each candidate for these residuals, float64 [T]."""
        bounds = self.bounds(residual_T)
        return Proposed(inside(self._acts_EM, bounds), bounds)

    def bounds(self, residual_T: Tensor) -> Bounds:
        """Infinite where nothing was seen beyond. Of intervals with the same sum the one that ends first is taken."""
        sums_MT = residual_T[self._order_MT].cumsum(1)
        sums_MT1 = torch.cat([torch.zeros_like(sums_MT[:, :1]), sums_MT], 1)
        rises, begins, ends = zip(*(self._rise(sign * sums_MT1) for sign in (1, -1)), strict=True)
        down_M = rises[1] > rises[0]
        begin_M, end_M = (torch.where(down_M, each[1], each[0]) for each in (begins, ends))
        n_values = self._values_MT.shape[1]
        lower_M = self._values_MT.gather(1, begin_M[:, None].clamp(max=n_values - 1))[:, 0]
        upper_M = self._values_MT.gather(1, (end_M[:, None] - 1).clamp(min=0))[:, 0]
        return lower_M.masked_fill(begin_M == 0, -torch.inf), upper_M.masked_fill(end_M == n_values, torch.inf)

    def _rise(self, sums_MT1: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The largest rise of a running sum from one cut to a later one: how much, and the two places; [M] each."""
        lowest = torch.cummin(sums_MT1.masked_fill(~self._cut_MT1, torch.inf), dim=1)
        # A cut is no interval with itself: an interval that holds nothing would have bounds in the wrong order.
        rise_MT = (sums_MT1[:, 1:] - lowest.values[:, :-1]).masked_fill(~self._cut_MT1[:, 1:], -torch.inf)
        best = rise_MT.max(dim=1)
        return best.values, lowest.indices.gather(1, best.indices[:, None])[:, 0], best.indices + 1
