"""Where an activation lies in its neuron's own distribution: its percentile, and how far it is out.

Axes: N neurons, S tokens, P stored quantiles.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Placed(NamedTuple):
    """`share_NS`: part of the running text's tokens below the activation, 0 to 1. `beyond_NS`: standard deviations
    above the largest one of them, negative below the smallest, 0 between them. float64.
    """

    share_NS: Tensor
    beyond_NS: Tensor

    def out(self) -> Tensor:
        """How far out, [N, S]: -0.5 in the middle, 0 at an extreme, and from there on standard deviations."""
        tail_NS = torch.minimum(self.share_NS, 1 - self.share_NS)
        return torch.where(self.beyond_NS != 0, self.beyond_NS.abs(), -tail_NS)


def place(acts_NS: Tensor, quantiles_NP: Tensor, probabilities_P: Tensor, std_N: Tensor) -> Placed:
    """Find float32 activations among float32 quantiles that rise: linear between neighbours.

    An activation that several quantiles equal (a neuron that is often 0) is in the middle of their probabilities. One
    beyond the extremes of a neuron that never varied is infinitely far out.
    """
    n_quantiles = quantiles_NP.shape[1]
    acts_NS, quantiles_NP = acts_NS.contiguous(), quantiles_NP.contiguous()
    below_NS = torch.searchsorted(quantiles_NP, acts_NS)  # how many quantiles are smaller
    upto_NS = torch.searchsorted(quantiles_NP, acts_NS, right=True)  # or equal
    left_NS = (below_NS - 1).clamp(min=0)
    right_NS = below_NS.clamp(max=n_quantiles - 1)
    low_NS, high_NS = (quantiles_NP.gather(1, at).double() for at in (left_NS, right_NS))
    step_NS = (high_NS - low_NS).clamp(min=torch.finfo(torch.float64).tiny)
    part_NS = ((acts_NS.double() - low_NS) / step_NS).clamp(0, 1)
    between_NS = probabilities_P[left_NS] + part_NS * (probabilities_P[right_NS] - probabilities_P[left_NS])
    equal_NS = (probabilities_P[right_NS] + probabilities_P[(upto_NS - 1).clamp(min=0)]) / 2
    share_NS = torch.where(upto_NS > below_NS, equal_NS, between_NS)
    share_NS = torch.where(upto_NS == 0, 0.0, torch.where(below_NS == n_quantiles, 1.0, share_NS))
    distance_NS = (acts_NS.double() - quantiles_NP[:, -1:].double()).clamp(min=0)
    distance_NS += (acts_NS.double() - quantiles_NP[:, :1].double()).clamp(max=0)
    beyond_NS = torch.where(distance_NS != 0, distance_NS / std_N.double()[:, None], 0.0)
    return Placed(share_NS, beyond_NS)
