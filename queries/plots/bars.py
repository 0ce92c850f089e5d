"""What of the stored bins is drawn: fewer and wider bars for few values, and no room for outliers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

# What may lie beyond either end of the axis, as a share of the values of a set, where that leaves room for the others.
BEYOND = 0.025
_WORTH = 0.15


def bars(edges: Sequence[float], counts: Sequence[int]) -> tuple[list[float], list[int]]:
    """(edges, counts) of a histogram of neighbouring bins put together; the last bar may be a narrower one.

    The stored bins are as fine as the largest sets can bear, and bars of a few values each look like noise. Bars are
    about as wide as numpy's rule "auto" makes them, the narrower one of Freedman and Diaconis (1981),
    2 · interquartile range · n^(-1/3), and Sturges (1926), span / (1 + log2 n); never narrower than a bin. (A density
    estimate from bins would be smoother, and show peaks and tails that nobody has measured.)
    """
    n, width = sum(counts), edges[1] - edges[0]
    if not n:
        return list(edges), list(counts)
    low, high = (_quantile(edges, counts, share) for share in (0.25, 0.75))
    filled = [index for index, count in enumerate(counts) if count]
    span = width * (1 + filled[-1] - filled[0])
    wanted = min(2 * (high - low) * n ** (-1 / 3), span / (1 + math.log2(n)))
    together = max(1, round(wanted / width))
    starts = range(0, len(counts), together)
    return [*(edges[start] for start in starts), edges[-1]], [sum(counts[at : at + together]) for at in starts]


def _quantile(edges: Sequence[float], counts: Sequence[int], share: float) -> float:
    """Values are taken to be spread evenly within a bin."""
    due, before = share * sum(counts), 0
    for index, count in enumerate(counts):
        if count and before + count >= due:
            return edges[index] + (edges[index + 1] - edges[index]) * (due - before) / count
        before += count
    return edges[-1]


def axis(edges: Sequence[float], sets: Sequence[Sequence[int]], keep: Sequence[float] = ()) -> tuple[float, float]:
    """The ends of the axis for the counts of some sets in the same bins.

    All bins, or where outliers take a good part of the room those without at most BEYOND of each set on either side;
    every finite number of `keep` stays inside.
    """
    kept = [value for value in keep if math.isfinite(value)]
    below = min((_idle(counts) for counts in sets), default=0)
    above = min((_idle(counts[::-1]) for counts in sets), default=0)
    while below and any(value < edges[below] for value in kept):
        below -= 1
    while above and any(value > edges[-1 - above] for value in kept):
        above -= 1
    if below + above < _WORTH * (len(edges) - 1):
        return edges[0], edges[-1]
    return edges[below], edges[-1 - above]


def _idle(counts: Sequence[int]) -> int:
    """How many bins from the left hold no more than BEYOND of all values together; never all of them."""
    most = BEYOND * sum(counts)
    return min(sum(1 for total in accumulate(counts) if total <= most), len(counts) - 1)


def outside(edges: Sequence[float], counts: Sequence[int], ends: tuple[float, float]) -> tuple[int, int]:
    """How many values are in bins below and above the axis."""
    below = sum(count for edge, count in zip(edges[1:], counts, strict=True) if edge <= ends[0])
    above = sum(count for edge, count in zip(edges[:-1], counts, strict=True) if edge >= ends[1])
    return below, above
