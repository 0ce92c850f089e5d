"""The running sum over a concept's values in each set of values: how far it falls, and how far it rises again.

On a CPU value by value, the neurons of all sets at once, so that what is worked on stays in the cache; on a GPU all
values at once.

Axes: M values of the concept, ascending; S sets of values; N neurons; W words of P counts (packed.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from builders.intervals.grouped import NOT_LARGER, OWN, SMALLER, Grouped


class Sums(NamedTuple):
    """[M, S, N]."""

    rise: Tensor
    """How far the sum has risen after each value from where it had fallen most, whole numbers."""
    since: Tensor
    """Where that was: before which value, counted from 1; of several the last."""


def sums(values: Grouped, other_S: Tensor, both_S: Tensor) -> Sums:
    """Of a sum that each value of the set takes `other` from, and each of the concept's in it gives `both` to."""
    if values.values_EN.device.type == "cpu":
        return value_by_value(values, other_S.numpy(), both_S.numpy())
    return all_at_once(values, other_S, both_S)


def places_of(numbers_MSN: Tensor, wanted_SN: Tensor) -> tuple[Tensor, Tensor]:
    """The first place and the last where each neuron of each set has a number, int64 [S, N]; it has it somewhere."""
    find = equal_row_by_row if numbers_MSN.device.type == "cpu" else equal_at_once
    return find(numbers_MSN, wanted_SN)


def all_at_once(values: Grouped, other_S: Tensor, both_S: Tensor) -> Sums:
    """`sums` on a GPU."""
    other, both = other_S[:, None], both_S[:, None]
    given = values.of_sets(OWN) * both
    before = torch.cat([torch.zeros_like(given[:1]), given[:-1]])
    highest, since = torch.cummax(values.of_sets(SMALLER) * other - before, dim=0)
    return Sums(highest + (given - values.of_sets(NOT_LARGER) * other), since + 1)


def value_by_value(values: Grouped, other_S: np.ndarray, both_S: np.ndarray) -> Sums:
    """`sums` on a CPU."""
    (n, width), fields = values.values_EN.shape, values.fields
    (n_sets,), kind = other_S.shape, other_S.dtype
    shape_3WP1 = (3, fields.words, fields.per_word, 1)
    weights = np.zeros((3, fields.words * fields.per_word), kind)
    weights[:, :n_sets] = other_S, both_S, other_S
    weights, shifts, words = weights.reshape(shape_3WP1), fields.shifts().numpy()[:, None], values.words_E3WN.numpy()
    counts = np.empty((*shape_3WP1[:-1], width), words.dtype)
    weighed = counts if kind == counts.dtype else np.empty(counts.shape, kind)
    taken, given, taken_after = weighed.reshape(3, -1, width)[:, :n_sets]
    count = _counting(n)
    rise, since = np.empty((n, n_sets, width), kind), np.empty((n, n_sets, width), count)
    fallen, highest, before = (np.zeros((n_sets, width), kind) for _ in range(3))
    reached, latest = np.empty((n_sets, width), bool), np.zeros((n_sets, width), count)
    for m in range(n):
        np.right_shift(words[m, :, :, None], shifts, out=counts)
        np.bitwise_and(counts, fields.mask, out=counts)
        np.multiply(counts, weights, out=weighed)
        np.subtract(taken, before, out=fallen)
        before[:] = given
        np.maximum(highest, fallen, out=highest)
        np.equal(highest, fallen, out=reached)
        np.multiply(reached.view(np.uint8), count.type(m + 1), out=since[m])
        np.maximum(latest, since[m], out=since[m])
        latest = since[m]
        np.subtract(given, taken_after, out=rise[m])
        rise[m] += highest
    return Sums(torch.from_numpy(rise), torch.from_numpy(since))


def equal_at_once(numbers_MSN: Tensor, wanted_SN: Tensor) -> tuple[Tensor, Tensor]:
    """`places_of` on a GPU."""
    equal = (numbers_MSN == wanted_SN).byte()
    return equal.argmax(dim=0), len(equal) - 1 - equal.flip(0).argmax(dim=0)


def equal_row_by_row(numbers_MSN: Tensor, wanted_SN: Tensor) -> tuple[Tensor, Tensor]:
    """`places_of` on a CPU."""
    n, wanted = len(numbers_MSN), wanted_SN.numpy()
    kind = _counting(n)
    equal = np.empty(wanted.shape, bool)
    counted, from_start, from_end = (np.zeros(wanted.shape, kind) for _ in range(3))
    for m, numbers in enumerate(numbers_MSN.numpy()):
        np.equal(numbers, wanted, out=equal)
        np.multiply(equal.view(np.uint8), kind.type(m + 1), out=counted)
        np.maximum(from_start, counted, out=from_start)
        np.multiply(equal.view(np.uint8), kind.type(n - m), out=counted)
        np.maximum(from_end, counted, out=from_end)
    return n - torch.from_numpy(from_end.astype(np.int64)), torch.from_numpy(from_start.astype(np.int64)) - 1


def _counting(n: int) -> np.dtype:
    """What counts to n, as small as torch and numpy both know well."""
    return np.dtype(np.uint8 if n <= np.iinfo(np.uint8).max else np.int32)
