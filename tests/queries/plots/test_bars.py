"""Which bars are drawn of stored bins, and how far the axis goes."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from queries.plots.bars import BEYOND, axis, bars, outside

EDGES = [0.5 * step - 5 for step in range(21)]


def binned(values: np.ndarray, edges: list[float] = EDGES) -> list[int]:
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].tolist()


@pytest.mark.parametrize("n", [12, 46, 415, 20_000])
@pytest.mark.parametrize("std", [0.2, 1.0, 2.0])
def test_bars_are_about_as_wide_as_numpys_rule_makes_them(n: int, std: float) -> None:
    values = np.random.default_rng([n, int(10 * std)]).normal(0, std, n)
    edges, counts = bars(EDGES, binned(values))
    width, due = edges[1] - edges[0], np.diff(np.histogram_bin_edges(values, "auto"))[0]
    # Bins are whole, and quartiles and span are known to a bin only.
    assert width == 0.5 or 0.6 * due - 0.5 <= width <= 1.5 * due + 0.5
    assert sum(counts) == n and max(counts) > 0


def test_few_values_get_fewer_bars_than_many() -> None:
    values = np.random.default_rng(1).normal(0, 1.5, 50_000)
    few, many = (len(bars(EDGES, binned(values[:n]))[1]) for n in (46, 50_000))
    assert few < many == len(EDGES) - 1
    assert 5 <= few <= 12


@pytest.mark.parametrize("seed", range(30))
def test_bars_are_whole_bins_and_lose_nothing(seed: int) -> None:
    rng = random.Random(seed)
    bins = rng.randint(1, 40)
    edges = [rng.uniform(-3, 3)]
    width = 10.0 ** rng.randint(-6, 3)
    edges += [edges[0] + width * step for step in range(1, bins + 1)]
    counts = [rng.choice([0, 0, 1, 2, 50]) for _ in range(bins)]
    shown, together = bars(edges, counts)
    assert set(shown) <= set(edges) and (shown[0], shown[-1]) == (edges[0], edges[-1])
    assert shown == sorted(set(shown)) and len(shown) == len(together) + 1
    for (low, high), count in zip(pairwise(shown), together, strict=True):
        first, last = edges.index(low), edges.index(high)
        assert count == sum(counts[first:last])
    steps = {edges.index(high) - edges.index(low) for low, high in pairwise(shown[:-1])}
    assert len(steps) <= 1  # equal bars; the last may be narrower


def test_values_in_one_bin_stay_in_it() -> None:
    counts = [0] * 20
    counts[7] = 46
    assert bars(EDGES, counts) == (EDGES, counts)
    assert bars(EDGES, [0] * 20) == (EDGES, [0] * 20)


def test_outliers_do_not_squeeze_the_others() -> None:
    values = np.concatenate([np.random.default_rng(2).normal(-3, 0.4, 99), [4.9]])
    counts = binned(values)
    low, high = axis(EDGES, [counts])
    assert -4.5 <= low < -3 < high < 0
    assert outside(EDGES, counts, (low, high)) == (sum(values < low), 1)
    assert axis(EDGES, [counts], keep=[-np.inf, 2.2]) == (low, 2.5)
    assert axis(EDGES, [counts], keep=[-4.0, np.inf]) == (low, high)
    # A second set that has its values there is no outlier.
    assert axis(EDGES, [counts, binned(np.full(40, 4.9))]) == (EDGES[0], EDGES[-1])


def test_an_axis_that_gains_little_stays_whole() -> None:
    counts = binned(np.random.default_rng(3).uniform(-5, 5, 400))
    counts[0] = counts[-1] = 1
    assert axis(EDGES, [counts]) == (EDGES[0], EDGES[-1])


@pytest.mark.parametrize("seed", range(30))
def test_no_set_loses_more_than_a_few_of_its_values(seed: int) -> None:
    rng = random.Random(seed)
    bins = rng.randint(1, 30)
    edges = [float(step) for step in range(bins + 1)]
    sets = [[rng.choice([0, 0, 0, 1, 9, 40]) for _ in range(bins)] for _ in range(rng.randint(1, 4))]
    keep = [rng.uniform(0, bins) for _ in range(rng.randint(0, 2))]
    low, high = axis(edges, sets, keep)
    assert low < high and {low, high} <= set(edges)
    assert all(low <= value <= high for value in keep)
    for counts in sets:
        below, above = outside(edges, counts, (low, high))
        assert max(below, above) <= BEYOND * sum(counts)
        assert below + above + sum(counts[int(low) : int(high)]) == sum(counts)
