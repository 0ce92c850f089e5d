"""Groups of neurons that do nearly the same: connected by weights that all point the same way.

Two neurons are connected if the cosine of their down_proj vectors and that of their up_proj vectors both reach
REDUNDANT on the same side; with a gate, that of their gate_proj vectors too, from above. (Turning both up_proj and
down_proj around leaves a gated neuron what it was.) Without a gate, from above only. A group is a connected component,
so two of its neurons need not be near each other.

Axes: P pairs.
"""

from __future__ import annotations

import numpy as np
import torch

from builders.components import Components
from builders.weights.best import exceeding
from builders.weights.nearest import margin
from builders.weights.vectors import Vectors

REDUNDANT = 0.7
"""A cosine of 0.7 is half of the squared length in common."""
_PAIRS = 1 << 14  # compared at a time


class Groups:
    """Told of all products of down_proj vectors (`nearest.Look`), it finds the groups."""

    def __init__(self, written: Vectors, read: Vectors, gates: Vectors | None) -> None:
        self._written, self._read, self._gates = written, read, gates
        self._width, d_model = written[0].shape
        self._least = REDUNDANT - margin(d_model)
        self._components = Components(self._width * written.n_layers)

    def look(self, first: int, first_column: int, cosine_RN: torch.Tensor) -> None:
        """Connect the neurons of one product."""
        low, high = (float(each) for each in cosine_RN.aminmax())  # in one pass, and nearly always enough
        hits = [exceeding(cosine_RN, self._least)] if high > self._least else []
        if self._gates is not None and low < -self._least:
            hits.append(exceeding(cosine_RN.where(cosine_RN > -torch.inf, 0).neg_(), self._least))
        for row_P, column_P in hits:
            if len(row_P):  # the edge itself is rounded to float32
                self._connect(row_P + first, column_P + first_column)

    def _connect(self, a_P: torch.Tensor, b_P: torch.Tensor) -> None:
        for a_p, b_p in zip(a_P.split(_PAIRS), b_P.split(_PAIRS), strict=True):
            same_p = self._alike(a_p, b_p)
            self._components.connect(a_p[same_p].cpu().numpy(), b_p[same_p].cpu().numpy())

    def members(self) -> tuple[np.ndarray, np.ndarray]:
        """Places of the neurons that are in a group, ascending, and the number of it, in order of first members."""
        return self._components.members()

    def _alike(self, a_P: torch.Tensor, b_P: torch.Tensor) -> torch.Tensor:
        """Which pairs are connected, by float64 cosines."""
        written_P, read_P = self._cosines(self._written, a_P, b_P), self._cosines(self._read, a_P, b_P)
        if self._gates is None:
            return (written_P >= REDUNDANT) & (read_P >= REDUNDANT)
        same_P = (written_P.abs() >= REDUNDANT) & (read_P.abs() >= REDUNDANT) & (written_P * read_P > 0)
        return same_P & (self._cosines(self._gates, a_P, b_P) >= REDUNDANT)

    def _cosines(self, vectors: Vectors, a_P: torch.Tensor, b_P: torch.Tensor) -> torch.Tensor:
        """Of pairs of neurons, all a of one layer and all b of one layer."""
        a_layer, b_layer = int(a_P[0]) // self._width, int(b_P[0]) // self._width
        return vectors.cosines((a_layer, a_P % self._width), (b_layer, b_P % self._width))
