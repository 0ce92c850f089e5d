"""The values of some neurons in ascending order, with the places of equal ones: what everything here is counted on.

Axes: E values of a neuron, N neurons.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from builders.gaussians.sorting import rows_with_equal, running_max, sort_labelled


@dataclass(frozen=True)
class Ordered:
    """Each row ascending."""

    values_NE: Tensor
    """float32."""
    examples_NE: Tensor
    """int64: the column of the activations that each value comes from."""

    @cached_property
    def _tied(self) -> Tensor | slice:
        """The rows with equal values."""
        return rows_with_equal(self.values_NE)

    @property
    def first_NE(self) -> Tensor:
        """How many values are smaller, int32."""
        return self._ends[0]

    @property
    def last_NE(self) -> Tensor:
        """How many values are not larger, int32."""
        return self._ends[1]

    @cached_property
    def _ends(self) -> tuple[Tensor, Tensor]:
        width, n = self.values_NE.shape
        first_NE = torch.arange(n, dtype=torch.int32, device=self.values_NE.device).repeat(width, 1)
        last_NE = first_NE + 1
        first_NE[self._tied], last_NE[self._tied] = ends_of_equal(self.values_NE[self._tied])
        return first_NE, last_NE

    def running(self, numbers_NE: Tensor) -> tuple[Tensor, Tensor]:
        """The sums of whole numbers beside the values: over all that are smaller, and over all that are not larger."""
        upto_NE = numbers_NE.cumsum(dim=1, dtype=numbers_NE.dtype)
        below_NE = upto_NE - numbers_NE
        first, last = self._tied_ends
        below_NE[self._tied] = below_NE[self._tied].gather(1, first)
        upto_NE[self._tied] = upto_NE[self._tied].gather(1, last)
        return below_NE, upto_NE

    @cached_property
    def _tied_ends(self) -> tuple[Tensor, Tensor]:
        """The places of the first and the last of the values that equal each, in the rows with equal ones."""
        return self.first_NE[self._tied].long(), self.last_NE[self._tied].long().sub_(1)

    def twice_ranks_NE(self) -> Tensor:
        """Twice the rank of each example (from 1, of equal values the mean), float64, in the order of the examples."""
        return self.by_example(self.first_NE + self.last_NE + 1).double()

    def by_example(self, numbers_NE: Tensor) -> Tensor:
        """Numbers beside the values, in the order of the examples."""
        return torch.empty_like(numbers_NE).scatter_(1, self.examples_NE, numbers_NE)

    def tie_term_N(self) -> np.ndarray:
        """Sum of t³ - t over the groups of t equal values, float64."""
        size = (self.last_NE - self.first_NE).double()
        return (size * size - 1).sum(dim=1).cpu().numpy()

    def each(self, numbers_E: Tensor) -> Tensor:
        """A number of the examples (such as their concept) beside each value, [N, E]."""
        return numbers_E.index_select(0, self.examples_NE.view(-1)).view(self.examples_NE.shape)


def ordered(acts_NE: Tensor) -> Ordered:
    """Sort float32 rows."""
    labelled = sort_labelled(acts_NE, torch.arange(acts_NE.shape[1], device=acts_NE.device))
    return Ordered(*labelled)


def ends_of_equal(values_NE: Tensor) -> tuple[Tensor, Tensor]:
    """How many values of ascending rows are smaller than each, and how many not larger; int32 [N, E] each."""
    n = values_NE.shape[1]
    place_E = torch.arange(n, dtype=torch.int32, device=values_NE.device)
    differs_NE = torch.ones((len(values_NE), n + 1), dtype=torch.bool, device=values_NE.device)
    torch.ne(values_NE[:, 1:], values_NE[:, :-1], out=differs_NE[:, 1:-1])
    # From the end: how many values are larger.
    larger_NE = running_max(differs_NE[:, 1:].flip(1) * place_E).flip(1)
    return running_max(differs_NE[:, :-1] * place_E), n - larger_NE
