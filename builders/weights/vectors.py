"""The vectors of one weight, layer by layer, as often as they are wanted."""

from __future__ import annotations

from collections.abc import Callable

import torch

from builders.decoding.topk.vocabulary import row_norms

Load = Callable[[int], torch.Tensor]
"""A layer -> the vectors of its neurons, float32 [N, D], finite, one after another in memory."""


class Vectors:
    """Those of all layers; kept once they were loaded where all of them fit into `memory_bytes`."""

    def __init__(self, load: Load, n_layers: int, memory_bytes: int) -> None:
        self.n_layers = n_layers
        self._load, self._memory = load, memory_bytes
        self._kept: dict[int, torch.Tensor] = {}

    def __getitem__(self, layer: int) -> torch.Tensor:
        """Float32 [N, D] of one layer."""
        if layer in self._kept:
            return self._kept[layer]
        w_ND = self._load(layer)
        if w_ND.numel() * 4 * self.n_layers <= self._memory:
            self._kept[layer] = w_ND
        return w_ND

    def unit(self, layer: int) -> torch.Tensor:
        """The same of length 1; zero vectors stay zero."""
        w_ND = self[layer]
        norm_N = row_norms(w_ND)
        return (w_ND * torch.where(norm_N > 0, 1 / norm_N, 0.0).float()[:, None]).contiguous()


def exact_cosines(a_PD: torch.Tensor, b_PD: torch.Tensor) -> torch.Tensor:
    """Of pairs of vectors, row by row, in float64: a cosine does not depend on what else is compared."""
    a_PD, b_PD = a_PD.double(), b_PD.double()
    square_P = a_PD.square().sum(1) * b_PD.square().sum(1)
    return (a_PD * b_PD).sum(1) / square_P.sqrt()
