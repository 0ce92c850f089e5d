"""Everything that is stored about one neuron, value by value, with numpy and scipy in float64: slow and plain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from builders.gaussians.separation import range_bounds


def shape_of(acts_E: np.ndarray) -> dict[str, float]:
    """What a concept and the background have in common; skewness, kurtosis and ks are NaN for a constant."""
    x = acts_E.astype(np.float64)
    # Powers of a shifted sample: an offset far larger than the spread would cost scipy its digits.
    varies, centred = np.ptp(x) > 0, (x - x[0]) - (x - x[0]).mean()
    std = centred.std()
    return {
        "mean": x[0] + (x - x[0]).mean(),
        "std": std,
        "skewness": (centred**3).mean() / std**3 if varies else np.nan,
        "kurtosis": (centred**4).mean() / std**4 - 3 if varies else np.nan,
        "min": x.min(),
        "max": x.max(),
        "mean_abs": np.abs(x).mean(),
        "ks": stats.kstest(centred, stats.norm(0, std).cdf).statistic if varies else np.nan,
    }


def counts_of(acts_E: np.ndarray, labels_E: np.ndarray, n_concepts: int, bins: int) -> dict[str, np.ndarray]:
    """twice_u [C] and histogram [C, bins]."""
    parts = [acts_E[labels_E == concept].astype(np.float64) for concept in range(n_concepts)]
    rests = [acts_E[labels_E != concept].astype(np.float64) for concept in range(n_concepts)]
    won = [
        (own[:, None] > rest).sum() * 2 + (own[:, None] == rest).sum() for own, rest in zip(parts, rests, strict=True)
    ]
    low, high = acts_E.astype(np.float64).min(), acts_E.astype(np.float64).max()
    edges = low + (high - low) * np.arange(bins + 1) / bins
    edges[-1] = np.inf
    constant = np.eye(1, bins, dtype=int)[0]
    histogram = [np.histogram(own, edges)[0] if high > low else len(own) * constant for own in parts]
    return {"twice_u": np.array(won), "histogram": np.array(histogram)}


def ranges_of(
    acts_E: np.ndarray, labels_E: np.ndarray, mean_C: np.ndarray, std_C: np.ndarray, taus: Sequence[float]
) -> dict[str, np.ndarray]:
    """inside, others_inside, worst_concept, worst_inside, [T, C] each; mean_C and std_C are the stored ones."""
    parts = [acts_E[labels_E == concept] for concept in range(len(mean_C))]
    found = []
    for low_C, high_C in zip(*range_bounds(mean_C, std_C, taus), strict=True):
        for concept, (low, high) in enumerate(zip(low_C, high_C, strict=True)):
            hits = [int(((own >= low) & (own <= high)).sum()) for own in parts]
            shares = [-1 if c == concept else hits[c] / len(parts[c]) for c in range(len(parts))]
            worst = shares.index(max(shares)) if len(parts) > 1 else -1
            others = sum(hits) - hits[concept]
            found.append((hits[concept], others, worst, hits[worst] if len(parts) > 1 else 0))
    columns = np.array(found).reshape(len(taus), len(parts), 4)
    names = ("inside", "others_inside", "worst_concept", "worst_inside")
    return {name: columns[..., i] for i, name in enumerate(names)}
