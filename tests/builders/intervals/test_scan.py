"""Sums value by value, as on a CPU, and all at once, as on a GPU, against plain Python; counts that share words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from builders.intervals import scan
from builders.intervals.grouped import NOT_LARGER, OWN, SMALLER, Grouped, grouped
from builders.intervals.ordered import ordered
from builders.intervals.packed import Fields

N_FOLDS = 4


@pytest.fixture(params=[(40, 1), (40, 7), (5000, 1)], ids=["some equal", "different", "words of their own"])
def values(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray, Grouped]:
    """acts_EN, labels_E, folds_E and what is counted of them."""
    n, decimals = request.param
    generator = np.random.default_rng(n)
    labels_E, folds_E = generator.integers(0, 40 if n > 1000 else 2, n), generator.integers(0, N_FOLDS, n)
    acts_EN = generator.standard_normal((n, 5)).astype(np.float32).round(decimals)
    row = ordered(torch.from_numpy(np.ascontiguousarray(acts_EN.T)))
    return acts_EN, labels_E, folds_E, grouped(row, labels_E, folds_E, N_FOLDS)


def first_concept(labels_E: np.ndarray, values: Grouped) -> Grouped:
    return values.split(np.bincount(labels_E))[0]


def test_counts_are_those_of_comparisons(values) -> None:
    acts_EN, labels_E, folds_E, everything = values
    part = first_concept(labels_E, everything)
    smaller, own, not_larger = (part.of_sets(count).numpy() for count in (SMALLER, OWN, NOT_LARGER))
    for neuron in range(acts_EN.shape[1]):
        mine = np.sort(acts_EN[labels_E == 0, neuron])
        assert np.array_equal(part.values_EN[:, neuron].numpy(), mine)
        for fold in range(N_FOLDS + 1):
            kept = folds_E != fold
            row = np.sort(acts_EN[kept, neuron])
            assert np.array_equal(smaller[:, fold, neuron], np.searchsorted(row, mine))
            assert np.array_equal(not_larger[:, fold, neuron], np.searchsorted(row, mine, side="right"))
            # Of equal values in any order: right at the last of them.
            last = np.append(mine[1:] != mine[:-1], True)
            own_row = np.sort(acts_EN[kept & (labels_E == 0), neuron])
            assert np.array_equal(own[last, fold, neuron], np.searchsorted(own_row, mine[last], side="right"))
            if fold == N_FOLDS:
                assert np.array_equal(part.of_all(SMALLER)[:, neuron].numpy(), smaller[:, fold, neuron])


@pytest.mark.parametrize("kind", [torch.int32, torch.float64])
def test_sums_are_those_of_a_loop(values, kind: torch.dtype) -> None:
    _, labels_E, _, everything = values
    part = first_concept(labels_E, everything)
    other, both = (torch.tensor(each).to(kind) for each in ([3, 1, 2, 5, 4], [40, 13, 9, 71, 52]))
    found = scan.value_by_value(part, other.numpy(), both.numpy()), scan.all_at_once(part, other, both)
    smaller, own, not_larger = (part.of_sets(count).numpy() for count in (SMALLER, OWN, NOT_LARGER))
    for rise, since in found:
        for fold, neuron in np.ndindex(rise.shape[1:]):
            deepest, place, before = 0, 0, 0
            for m in range(len(rise)):
                given = own[m, fold, neuron] * int(both[fold])
                fallen = smaller[m, fold, neuron] * int(other[fold]) - before
                if fallen >= deepest:
                    deepest, place = fallen, m + 1
                before = given
                due = deepest + given - not_larger[m, fold, neuron] * int(other[fold])
                assert (int(rise[m, fold, neuron]), int(since[m, fold, neuron])) == (due, place)


@pytest.mark.parametrize("n", [9, 300])
def test_first_and_last_place_of_a_number(n: int) -> None:
    numbers = torch.randint(0, 4, (n, 2, 6), generator=torch.Generator().manual_seed(n), dtype=torch.int32)
    wanted = numbers[n // 2]
    for found in (scan.equal_row_by_row(numbers, wanted), scan.equal_at_once(numbers, wanted)):
        for s, neuron in np.ndindex(wanted.shape):
            places = np.flatnonzero(numbers[:, s, neuron] == wanted[s, neuron])
            assert (int(found[0][s, neuron]), int(found[1][s, neuron])) == (places[0], places[-1])


def test_words_hold_as_many_counts_as_fit() -> None:
    fields = Fields(7, 600)
    assert (fields.bits, fields.words, fields.per_word) == (10, 3, 3)
    counted = torch.arange(35).view(7, 5) % 3 == 0
    ones = fields.ones(counted)
    for i in range(7):
        word, place = divmod(i, fields.per_word)
        assert torch.equal(ones[word] >> place * fields.bits & fields.mask, counted[i].int())
