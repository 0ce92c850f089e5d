"""The values of some neurons in ascending order, with the places of equal ones: what everything here is counted on.

Axes: E values of a neuron, N neurons.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from builders.gaussians.sorting import running_max, sort_labelled


@dataclass(frozen=True)
class Ordered:
    """Each row ascending."""

    values_NE: Tensor
    """float32."""
    examples_NE: Tensor
    """int64: the column of the activations that each value comes from."""

    @cached_property
    def tied(self) -> bool:
        """Whether any two values of a neuron are equal."""
        return bool((self.values_NE[:, 1:] == self.values_NE[:, :-1]).any())

    @cached_property
    def first_NE(self) -> Tensor:
        """How many values are smaller, int32."""
        place = self._place()
        if not self.tied:
            return place.expand(self.values_NE.shape)
        return running_max(torch.cat([self._edge(), self._differs()], 1) * place)

    @cached_property
    def last_NE(self) -> Tensor:
        """How many values are not larger, int32."""
        place = self._place()
        if not self.tied:
            return (place + 1).expand(self.values_NE.shape)
        # From the end: how many values are larger.
        larger = running_max(torch.cat([self._edge(), self._differs().flip(1)], 1) * place)
        return len(place) - larger.flip(1)

    def _place(self) -> Tensor:
        return torch.arange(self.values_NE.shape[1], dtype=torch.int32, device=self.values_NE.device)

    def _differs(self) -> Tensor:
        return self.values_NE[:, 1:] != self.values_NE[:, :-1]

    def _edge(self) -> Tensor:
        return torch.ones((len(self.values_NE), 1), dtype=torch.bool, device=self.values_NE.device)

    def twice_ranks_NE(self) -> Tensor:
        """Twice the rank of each example (from 1, of equal values the mean), float64, in the order of the examples."""
        twice = (self.first_NE + self.last_NE + 1).double()
        return torch.empty_like(twice).scatter_(1, self.examples_NE, twice)

    def tie_term_N(self) -> np.ndarray:
        """Sum of t³ - t over the groups of t equal values, float64."""
        if not self.tied:
            return np.zeros(len(self.values_NE))
        size = (self.last_NE - self.first_NE).double()
        return (size * size - 1).sum(dim=1).cpu().numpy()

    def each(self, numbers_E: Tensor) -> Tensor:
        """A number of the examples (such as their concept) beside each value, [N, E]."""
        return numbers_E.take(self.examples_NE)


def ordered(acts_NE: Tensor) -> Ordered:
    """Sort float32 rows."""
    labelled = sort_labelled(acts_NE, torch.arange(acts_NE.shape[1], device=acts_NE.device))
    return Ordered(*labelled)
