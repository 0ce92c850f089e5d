"""The vectors of one weight, layer by layer, as often as they are wanted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from builders.decoding.topk.vocabulary import row_norms

_PAIRS = 64  # of vectors in float64 at a time: they stay in a cache

Load = Callable[[int], torch.Tensor]
"""A layer -> the vectors of its neurons, float32 [N, D], finite, one after another in memory."""


class Vectors:
    """Those of all layers; kept once they were loaded where all of them fit into `memory_bytes`."""

    def __init__(self, load: Load, n_layers: int, memory_bytes: int) -> None:
        self.n_layers = n_layers
        self._load, self._memory = load, memory_bytes
        self._kept: dict[int, torch.Tensor] = {}
        self._norms: dict[int, torch.Tensor] = {}

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
        w_ND, norm_N = self[layer], self.norm(layer)
        return (w_ND * torch.where(norm_N > 0, 1 / norm_N, 0.0).float()[:, None]).contiguous()

    def norm(self, layer: int) -> torch.Tensor:
        """Their lengths, float64 [N]."""
        if layer not in self._norms:
            self._norms[layer] = row_norms(self[layer])
        return self._norms[layer]

    def cosines(self, a: tuple[int, torch.Tensor], b: tuple[int, torch.Tensor]) -> torch.Tensor:
        """Of pairs of neurons, float64 [P]: `a` and `b` are a layer and neurons [P] of it; NaN with a zero vector.

        Each is a sum of its own, so a cosine does not depend on what else is compared.
        """
        dot_P = _dots(self[a[0]], a[1], self[b[0]], b[1])
        return dot_P / (self.norm(a[0])[a[1]] * self.norm(b[0])[b[1]])


def _dots(a_ND: torch.Tensor, a_P: torch.Tensor, b_ND: torch.Tensor, b_P: torch.Tensor) -> torch.Tensor:
    """Of pairs of rows, in float64 [P]; on a processor by numpy, which takes half the time."""
    parts = [slice(start, start + _PAIRS) for start in range(0, len(a_P), _PAIRS)]
    dot_P = torch.empty(len(a_P), dtype=torch.float64, device=a_ND.device)
    if a_ND.device.type != "cpu":
        for part in parts:
            dot_P[part] = torch.linalg.vecdot(a_ND[a_P[part]].double(), b_ND[b_P[part]].double())
        return dot_P
    a, at, b, bt, dots = a_ND.numpy(), a_P.numpy(), b_ND.numpy(), b_P.numpy(), dot_P.numpy()
    for part in parts:
        dots[part] = np.vecdot(a[at[part]].astype(np.float64), b[bt[part]].astype(np.float64))
    return dot_P
