"""Where in its text a neuron is at its best, and what is around it.

Axes: C candidates of lists, P tokens that count of a text, W tokens of a window.
"""

from __future__ import annotations

import numpy as np

from builders.exemplars.kinds import List
from builders.exemplars.lists import FINE, NOT_HERE, Looked, comparable
from builders.exemplars.masks import only
from builders.exemplars.seen import AtPlace, Batch

_AT_ONCE = 1 << 21
"""Activations that are looked at together: 8 MB."""


def look(seen: AtPlace, kind: List, rows_C: np.ndarray, neurons_C: np.ndarray) -> Looked:
    """What a list says of candidates: of each the row of its text in the batch, and its neuron."""
    n = len(rows_C)
    found = Looked(
        np.zeros(n, np.int32), np.zeros(n, np.float32), np.zeros(n, np.float32), np.empty((n, kind.window), np.int16)
    )
    order = np.lexsort((neurons_C, rows_C))  # as they lie in memory
    step = max(1, _AT_ONCE // seen.batch.places_BP.shape[1])
    for start in range(0, n, step):
        part = order[start : start + step]
        for whole, some in zip(found, _some(seen, kind, rows_C[part], neurons_C[part]), strict=True):
            whole[part] = some
    return found


def _some(seen: AtPlace, kind: List, rows_C: np.ndarray, neurons_C: np.ndarray) -> Looked:
    acts, closed = seen.gather(rows_C, neurons_C, kind.closed is not None)
    allowed = acts if closed is None else only(acts, closed if kind.closed else ~closed)
    acts_CP = acts.cpu().numpy()
    allowed_CP = comparable(allowed.cpu().numpy())
    at_C = allowed_CP.argmax(1) if kind.sign > 0 else allowed_CP.argmin(1)
    positions_C = seen.batch.places_BP[rows_C, at_C].astype(np.int32)
    values_C = acts_CP[np.arange(len(at_C)), at_C]
    return Looked(positions_C, values_C, *_windows(kind.window, seen.batch, rows_C, positions_C, acts_CP))


def _windows(
    width: int, batch: Batch, rows_C: np.ndarray, positions_C: np.ndarray, acts_CP: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(largest absolute activation [C], int16 [C, W]) of the tokens around each position."""
    if not width:
        return np.zeros(len(rows_C), np.float32), np.empty((len(rows_C), 0), np.int16)
    last_C = np.asarray(batch.lengths)[rows_C] - width
    starts_C = np.maximum(batch.first_token, np.minimum(positions_C - width * 3 // 4, last_C))
    place_CW = batch.place_of_BL[rows_C[:, None], starts_C[:, None] + np.arange(width)]
    acts_CW = np.where(place_CW < 0, 0, acts_CP[np.arange(len(rows_C))[:, None], place_CW])
    scales_C = np.abs(acts_CW).max(1)
    steps_CW = np.rint(acts_CW / np.where(scales_C > 0, scales_C, 1)[:, None] * FINE)
    return scales_C, np.where(place_CW < 0, NOT_HERE, steps_CW).astype(np.int16)
