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
    bits = (np.ascontiguousarray(activations).view(np.int32) + 64) & ~127
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

    def offer(self, keys_BN: np.ndarray, texts_B: np.ndarray, look: Look) -> None:
        """Take the texts of a batch; those without anything to offer have the key `last`."""
        rows_R = np.flatnonzero(((keys_BN <= self.floor()) & (keys_BN < self.last)).any(0))
        if not len(rows_R):
            return
        k, n_texts = self.keys_NK.shape[1], len(texts_B)
        keys_RJ = np.concatenate([self.keys_NK[rows_R], keys_BN[:, rows_R].T], 1)
        texts_RJ = np.concatenate([self.texts_NK[rows_R], np.broadcast_to(texts_B, (len(rows_R), n_texts))], 1)
        order_RK = _smallest(keys_RJ, texts_RJ, k)
        keys_RK = np.take_along_axis(keys_RJ, order_RK, 1)
        kept_RK = np.minimum(order_RK, k - 1)
        came_RK = (order_RK >= k) & (keys_RK < self.last)
        self.keys_NK[rows_R] = keys_RK
        self.texts_NK[rows_R] = np.where(keys_RK < self.last, np.take_along_axis(texts_RJ, order_RK, 1), -1)
        row_C, place_C = np.nonzero(came_RK)
        looked = look(order_RK[row_C, place_C] - k, rows_R[row_C])
        for old, new in (
            (self.positions_NK, looked.positions_C),
            (self.values_NK, looked.values_C),
            (self.scales_NK, looked.scales_C),
            (self.windows_NKW, looked.windows_CW),
        ):
            moved = old[rows_R[:, None], kept_RK]
            moved[row_C, place_C] = new
            old[rows_R] = moved


def _smallest(keys_RJ: np.ndarray, texts_RJ: np.ndarray, k: int) -> np.ndarray:
    """Which `k` of each row have the smallest key, ascending; equal keys go by text: [R, K]."""
    some_RK = np.argpartition(keys_RJ, k - 1, axis=1)[:, :k]
    last_R = np.take_along_axis(keys_RJ, some_RK, 1).max(1)
    # Where more than k are as small as the last, it is for their texts to say which come in.
    tied_R = np.count_nonzero(keys_RJ <= last_R[:, None], axis=1) > k
    some_RK[tied_R] = np.lexsort((texts_RJ[tied_R], keys_RJ[tied_R]), axis=1)[:, :k]
    keys_RK, texts_RK = (np.take_along_axis(each, some_RK, 1) for each in (keys_RJ, texts_RJ))
    return np.take_along_axis(some_RK, np.lexsort((texts_RK, keys_RK), axis=1), 1)
