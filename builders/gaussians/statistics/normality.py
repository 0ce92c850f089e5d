"""How far a sample is from the normal distribution fitted to it.

The Kolmogorov-Smirnov distance D = sup |F_n(x) - Phi((x - mean)/std)|, with mean and std (population, ddof 0)
taken from the same sample. It is a description, not a test: because the normal was fitted to the sample, the
usual Kolmogorov-Smirnov p-values are far too large. The right reference is Lilliefors' (1967), whose critical
values `lilliefors_reference` simulates. It needs the sorted sample, so unlike the other statistics it cannot
be accumulated over blocks.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from builders.gaussians.sorting import sort_rows
from builders.gaussians.statistics.moments import CentralSums, central_sums


def ks_distance(acts_EN: np.ndarray) -> np.ndarray:
    """D of each column (float64 [N], in [0, 1]); NaN where the std is 0 or there are fewer than 2 rows."""
    sorted_NE = sort_rows(torch.from_numpy(np.ascontiguousarray(acts_EN.T, dtype=np.float64)))
    return ks_of_sorted(sorted_NE, central_sums(sorted_NE))


def ks_of_sorted(sorted_NE: Tensor, sums: CentralSums) -> np.ndarray:
    """The same for float64 rows that are sorted already, with the sums of each row; any axes before the last.

    The supremum is attained just before or at a step of F_n; with ties the outermost members of the tie
    give the two sides of the step, so the maximum over all positions is exact. Phi comes from erf, whose
    error of 1e-16 in absolute terms is what a distance needs.
    """
    n = sorted_NE.shape[-1]
    if n < 2:
        return np.full(sorted_NE.shape[:-1], np.nan)
    with np.errstate(divide="ignore"):
        scale = 1 / (sums.std() * math.sqrt(2))
    mean, scale = (torch.from_numpy(each).to(sorted_NE.device)[..., None] for each in (sums.mean, scale))
    # erf = 2 Phi - 1, against 2 F_n - 1 just before each step: twice the distance on one side, and off by the
    # height of a step on the other.
    above = (sorted_NE - mean).mul_(scale).erf_()
    above -= torch.arange(n, dtype=torch.float64, device=sorted_NE.device) * (2 / n) - 1
    lowest, highest = (each.cpu().numpy() for each in (above.amin(dim=-1), above.amax(dim=-1)))
    return np.where(sums.m2 > 0, np.maximum(highest, 2 / n - lowest) / 2, np.nan)


def lilliefors_reference(n: int, level: float = 0.95, draws: int = 20_000, seed: int = 0) -> float:
    """The `level` quantile of D over `draws` simulated normal samples of size n.

    A sample whose D is larger is not normal at significance 1 - level. (The simulation uses the same ddof-0
    std as ks_distance; Lilliefors' own table uses ddof 1, which differs visibly only for small n.)
    """
    samples_EN = np.random.default_rng(seed).standard_normal((n, draws))
    return float(np.quantile(ks_distance(samples_EN), level))
