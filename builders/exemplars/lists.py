"""The best few texts of every neuron at one place, kept while texts come by in any order.

Axes: B texts of a batch, N neurons, R of them, K places of a list, W tokens of a window, C candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

FINE = 32767
"""Steps of a window between 0 and its scale, until windows are stored."""


class Looked(NamedTuple):
    """What is looked up of candidates alone, one row each. `windows_CW`: int16 in FINE steps, NOT_HERE: none."""

    positions_C: np.ndarray
    values_C: np.ndarray
    scales_C: np.ndarray
    windows_CW: np.ndarray


NOT_HERE = -32768
Look = Callable[[np.ndarray, np.ndarray], Looked]
"""(place in the batch, neuron) of candidates -> what is to be known of them."""


def comparable(activations: np.ndarray) -> np.ndarray:
    """float32 as they are compared: to 17 significant bits, ties to the larger.

    A text that is read beside others differs in the last bits, and texts that begin alike would come in any order.
    """
    bits = np.ascontiguousarray(activations).view(np.int32) + 64
    bits &= ~127
    return bits.view(np.float32)


class Lists:
    """`k` texts with the smallest key of each neuron; equal keys go by text. A text comes once."""

    def __init__(self, width: int, k: int, window: int, kind: type) -> None:
        self.last = np.inf if np.issubdtype(kind, np.floating) else np.iinfo(kind).max
        self.keys_NK = np.full((width, k), self.last, kind)
        self.texts_NK = np.full((width, k), -1, np.int32)
        self.positions_NK = np.zeros((width, k), np.int32)
        self.values_NK = np.zeros((width, k), np.float32)
        self.scales_NK = np.zeros((width, k), np.float32)
        self.windows_NKW = np.full((width, k, window), NOT_HERE, np.int16)

    def floor(self) -> np.ndarray:
        """The key that a text must not exceed to come in: [N]."""
        return self.keys_NK[:, -1]

    def offer(self, keys_BN: np.ndarray, texts_B: np.ndarray, look: Look, most_N: np.ndarray | None = None) -> None:
        """Take the texts of a batch; those without anything to offer have the key `last`.

        `most_N`: a key that none of those exceeds which are in the list at last, where that is known before.
        """
        floor_N = self.floor() if most_N is None else np.minimum(self.floor(), most_N)
        near_BN = (keys_BN <= floor_N) & (keys_BN < self.last)
        rows_R = np.flatnonzero(near_BN.any(0))
        if not len(rows_R):
            return
        k, from_RX = self.keys_NK.shape[1], _beside(near_BN, rows_R)
        keys_RX = np.where(from_RX < 0, self.keys_NK.dtype.type(self.last), keys_BN[from_RX, rows_R[:, None]])
        keys_RJ = np.concatenate([self.keys_NK[rows_R], keys_RX], 1)
        texts_RJ = np.concatenate([self.texts_NK[rows_R], texts_B[from_RX]], 1)
        order_RK = _smallest(keys_RJ, texts_RJ, k, self.last)
        keys_RK = np.take_along_axis(keys_RJ, order_RK, 1)
        kept_RK = np.minimum(order_RK, k - 1)
        came_RK = (order_RK >= k) & (keys_RK < self.last)
        self.keys_NK[rows_R] = keys_RK
        self.texts_NK[rows_R] = np.where(keys_RK < self.last, np.take_along_axis(texts_RJ, order_RK, 1), -1)
        row_C, place_C = np.nonzero(came_RK)
        looked = look(from_RX[row_C, order_RK[row_C, place_C] - k], rows_R[row_C])
        for old, new in (
            (self.positions_NK, looked.positions_C),
            (self.values_NK, looked.values_C),
            (self.scales_NK, looked.scales_C),
            (self.windows_NKW, looked.windows_CW),
        ):
            moved = old[rows_R[:, None], kept_RK]
            moved[row_C, place_C] = new
            old[rows_R] = moved


def _beside(near_BN: np.ndarray, rows_R: np.ndarray) -> np.ndarray:
    """The texts that may come into the list of each neuron, beside each other: places in the batch [R, X], -1: none.

    They are few once lists are full, and then so is what is to be sorted.
    """
    near_RB = np.ascontiguousarray(near_BN[:, rows_R].T)
    row_H, text_H = np.divmod(np.flatnonzero(near_RB), near_RB.shape[1])
    count_R = np.count_nonzero(near_RB, axis=1)
    from_RX = np.full((len(rows_R), count_R.max()), -1)
    from_RX[row_H, np.arange(len(row_H)) - np.repeat(np.cumsum(count_R) - count_R, count_R)] = text_H
    return from_RX


def _smallest(keys_RJ: np.ndarray, texts_RJ: np.ndarray, k: int, last: float) -> np.ndarray:
    """Which `k` of each row have the smallest key, ascending; equal keys below `last` go by text: [R, K]."""
    # Nearly all of a row is in order already, and equal keys are rare.
    order_RJ = np.argsort(keys_RJ, axis=1, kind="stable")[:, : k + 1]
    sorted_RJ = np.take_along_axis(keys_RJ, order_RJ, 1)
    tied_R = ((sorted_RJ[:, 1:] == sorted_RJ[:, :-1]) & (sorted_RJ[:, 1:] < last)).any(1)
    order_RJ[tied_R] = np.lexsort((texts_RJ[tied_R], keys_RJ[tied_R]), axis=1)[:, : k + 1]
    return order_RJ[:, :k]
