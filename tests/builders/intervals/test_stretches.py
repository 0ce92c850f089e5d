"""The best sum between stretches under labellings that share numbers, against all pairs of cuts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from builders.intervals.ordered import ordered
from builders.intervals.stretches import Stretches

N_STRETCHES = 16


def largest(acts_EN: np.ndarray, chosen_E: np.ndarray, own: int, other: int) -> int:
    """Over the neurons; stretches are of equal numbers of values, but equal values in one."""
    found = 0
    for values in acts_EN.T:
        ascending = np.sort(values)
        cuts = [*sorted({float(ascending[k * len(values) // N_STRETCHES]) for k in range(N_STRETCHES)}), np.inf]
        sums = [0]
        for low, high in itertools.pairwise(cuts):
            inside = (values >= low) & (values < high)
            sums.append(sums[-1] + own * int((inside & chosen_E).sum()) - other * int((inside & ~chosen_E).sum()))
        found = max(found, max(b - a for i, a in enumerate(sums) for b in sums[i:]))
    return found


@pytest.mark.parametrize("scale", [1, 100, 10**7], ids=["int16", "int32", "float64"])
@pytest.mark.parametrize(("n", "zeros"), [(90, 0.0), (90, 0.5), (400, 0.0), (700, 0.6)])
def test_the_largest_rise_is_that_of_all_pairs_of_cuts(n: int, zeros: float, scale: int) -> None:
    generator = np.random.default_rng(n)
    acts_EN = generator.standard_normal((n, 5)).astype(np.float32)
    acts_EN[generator.random((n, 5)) < zeros] = 0
    acts_EN[: n // 2, 4] = acts_EN[n // 2 : 2 * (n // 2), 4]  # cuts that fall among equal values
    # As many labellings as leave the last word half empty, of different sizes.
    chosen_EL = generator.random((n, 13)) < np.linspace(0.05, 0.5, 13)
    n_L = chosen_EL.sum(axis=0)
    shared_L = np.gcd(n_L, n - n_L)
    own_L, other_L = scale * ((n - n_L) // shared_L), scale * (n_L // shared_L)
    stretches = Stretches(torch.from_numpy(chosen_EL), torch.from_numpy(own_L), torch.from_numpy(other_L))
    found = stretches.largest_rise(ordered(torch.from_numpy(np.ascontiguousarray(acts_EN.T))), N_STRETCHES)
    due = [largest(acts_EN, *each) for each in zip(chosen_EL.T, own_L.tolist(), other_L.tolist(), strict=True)]
    assert found.tolist() == due
