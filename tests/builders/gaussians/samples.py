"""Activations of awkward shapes: ties, constants, huge offsets, heavy tails, lone examples."""

from __future__ import annotations

import numpy as np

CONCEPT_SIZES = (1, 2, 37, 60)


def labels() -> np.ndarray:
    """100 rows of four concepts, shuffled, so that no block is sorted by concept."""
    ordered = np.repeat(np.arange(len(CONCEPT_SIZES)), CONCEPT_SIZES)
    return np.random.default_rng(1).permutation(ordered)


def columns(seed: int = 0) -> np.ndarray:
    """float64 [100, 10], each column another kind of neuron."""
    rng = np.random.default_rng(seed)
    n = sum(CONCEPT_SIZES)
    normal = rng.standard_normal((n, 10))
    concept_shift = labels() * 3.0
    return np.column_stack(
        [
            normal[:, 0],
            1e6 + 1e-2 * normal[:, 1],
            np.full(n, 0.1),
            np.round(normal[:, 2]) + 0.5,
            np.where(rng.random(n) < 0.9, 0.0, normal[:, 3]),
            np.where(rng.random(n) < 0.5, -0.0, 0.0),
            np.exp(2 * normal[:, 4]),
            1e-30 * normal[:, 5],
            normal[:, 6] + concept_shift,
            -1e4 + 1e4 * (labels() == 3),
        ]
    )
