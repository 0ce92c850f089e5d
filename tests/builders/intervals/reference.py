"""What builders/intervals must find, by brute force in plain Python and numpy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def best_interval(values: np.ndarray, own: np.ndarray) -> tuple[float, float, int, int]:
    """(lower, upper, inside, others inside) of the best closed interval, of all that begin and end at a value.

    Of equal coverage - leakage: fewest others, then narrowest, then lowest. Sides that reach the end are open.
    """
    n, n_rest = int(own.sum()), int((~own).sum())
    best = None
    for lower in sorted(set(values[own].tolist())):
        for upper in sorted(set(values[own].tolist())):
            if upper < lower:
                continue
            inside = (values >= lower) & (values <= upper)
            a, b = int((inside & own).sum()), int((inside & ~own).sum())
            gain = Fraction(a, n) - (Fraction(b, n_rest) if n_rest else 0)
            key = (-gain, b, upper - lower, lower)
            if best is None or key < best[0]:
                best = (key, lower, upper, a, b)
    if best is None:
        return np.inf, -np.inf, 0, 0
    _, lower, upper, a, b = best
    return (
        -np.inf if lower == values.min() else lower,
        np.inf if upper == values.max() else upper,
        a,
        b,
    )


def average_precision(values: np.ndarray, own: np.ndarray) -> float:
    """Sum over thresholds, from above, of the rise in recall times precision."""
    found, recall = 0.0, 0.0
    for threshold in sorted(set(values.tolist()), reverse=True):
        taken = values >= threshold
        now = (taken & own).sum() / own.sum()
        found += (now - recall) * (taken & own).sum() / taken.sum()
        recall = now
    return found


def best_f1(values: np.ndarray, own: np.ndarray) -> float:
    """The largest F1 of a threshold, on either side."""
    best = 0.0
    for threshold in values:
        for taken in (values >= threshold, values <= threshold):
            best = max(best, 2 * (taken & own).sum() / (own.sum() + taken.sum()))
    return best
