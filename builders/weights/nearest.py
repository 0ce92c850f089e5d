"""The nearest neurons of every neuron by one weight: of its own layer, and of all others; exact, block by block.

Every pair of layers is multiplied once, in float32, and told to the neurons of both. The best k + SPARE of a neuron are
compared again in float64, and are enough if the worst that was kept falls short of the k-th by more than float32 can be
off; the few neurons for which it does not are searched wholly in float64. Equal cosines stand in the order of places.

Axes: N neurons of a layer, A of all layers; C candidates; R neurons of a chunk; D d_model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from builders.threads import go_on
from builders.weights.best import Best
from builders.weights.vectors import Vectors

SPARE = 4
Look = Callable[[int, int, torch.Tensor], None]
"""What is told of each product: place of its first row and of its first column, counted over all layers, and [R, N]
cosines to about 1e-5, -inf with a zero vector; each pair of neurons once, the others of its own layer as 0."""


@dataclass(frozen=True)
class Nearest:
    """For every neuron, layer after layer, the places (layer · N + neuron) of its nearest, nearest first.

    -1 where there are no more; `cosine_AK` is then NaN.
    """

    place_AK: np.ndarray
    cosine_AK: np.ndarray


def find_nearest(vectors: Vectors, k: int, memory_bytes: int, look: Look | None = None) -> tuple[Nearest, Nearest]:
    """The k nearest of each neuron in its own layer, and those in other layers. Works on about 4 x `memory_bytes`.

    A zero vector has no direction: it is nobody's neighbour and has none.
    """
    width, device = len(vectors[0]), vectors[0].device
    n_all = width * vectors.n_layers
    same, other = (Best(n_all, max(min(k + SPARE, most), 1), device) for most in (width - 1, n_all - width))
    for first, first_column, cosine_RN in products(vectors, memory_bytes):
        if first // width == first_column // width:
            start = first % width
            cosine_RN.diagonal(start).fill_(-torch.inf)
            same.add(first, cosine_RN, first_column)
            cosine_RN.triu_(start + 1)
        else:
            other.add(first, cosine_RN, first_column)
            other.add_columns(first_column, cosine_RN, first)
        if look is not None:
            look(first, first_column, cosine_RN)
    return _ranked(vectors, same, k, within=True), _ranked(vectors, other, k, within=False)


def products(vectors: Vectors, memory_bytes: int) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Each pair of layers once, of a layer with itself too: (place of the first row, of the first column, cosines).

    A chunk of rows at a time, float32 [R, N]; -inf with a zero vector.
    """
    width = len(vectors[0])
    rows = max(1, memory_bytes // (4 * width))
    for i in range(vectors.n_layers):
        unit_ND, zero_N = vectors.unit(i), vectors.norm(i) == 0
        for j in range(i, vectors.n_layers):
            go_on()
            columns_ND, zero_columns_N = (unit_ND, zero_N) if i == j else (vectors.unit(j), vectors.norm(j) == 0)
            for start in range(0, width, rows):
                cosine_RN = unit_ND[start : start + rows] @ columns_ND.T
                if zero_N.any():
                    cosine_RN[zero_N[start : start + rows]] = -torch.inf
                if zero_columns_N.any():
                    cosine_RN[:, zero_columns_N] = -torch.inf
                yield i * width + start, j * width, cosine_RN


def margin(d_model: int) -> float:
    """Twice what a float32 cosine of float32 vectors can be off: d products and sums, and the rounding of lengths."""
    return 2 * (d_model + 8) * 2.0**-24


def _ranked(vectors: Vectors, best: Best, k: int, within: bool) -> Nearest:
    """The candidates in the order of their float64 cosines; searched anew where they may not be all."""
    width, d_model = vectors[0].shape
    place_AC, exact_AC = best.place_AC.cpu().numpy(), np.full(best.place_AC.shape, np.nan)
    for i in range(vectors.n_layers):
        rows = slice(i * width, (i + 1) * width)
        for j in [i] if within else range(vectors.n_layers):
            row_P, slot_P = np.nonzero((place_AC[rows] >= 0) & (place_AC[rows] // width == j))
            index_P = place_AC[rows][row_P, slot_P] % width
            found_P = vectors.cosines((i, torch.from_numpy(row_P)), (j, torch.from_numpy(index_P)))
            exact_AC[rows.start + row_P, slot_P] = found_P.cpu().numpy()
    place_AC, exact_AC = _in_order(place_AC, exact_AC)
    count = min(k, place_AC.shape[1])
    if place_AC.shape[1] > k:
        worst_A = best.cosine_AC[:, -1].double().cpu().numpy()
        for row in np.flatnonzero(exact_AC[:, k - 1] <= worst_A + margin(d_model)).tolist():
            place_AC[row, :count], exact_AC[row, :count] = _searched(vectors, row, count, within)
    return Nearest(place_AC[:, :count], exact_AC[:, :count])


def _searched(vectors: Vectors, row: int, count: int, within: bool) -> tuple[np.ndarray, np.ndarray]:
    """Places and cosines of the nearest of one neuron, all in float64."""
    width = len(vectors[0])
    own_layer, own = divmod(row, width)
    own_N, every_N = torch.full((width,), own), torch.arange(width)
    layers = [layer for layer in range(vectors.n_layers) if (layer == own_layer) is within]
    cosine_X = np.concatenate([vectors.cosines((own_layer, own_N), (layer, every_N)).cpu().numpy() for layer in layers])
    place_X = np.concatenate([np.arange(layer * width, (layer + 1) * width) for layer in layers])
    cosine_X[place_X == row] = np.nan
    place_1X, cosine_1X = _in_order(np.where(np.isnan(cosine_X), -1, place_X)[None], cosine_X[None])
    return place_1X[0, :count], cosine_1X[0, :count]


def _in_order(place_AC: np.ndarray, cosine_AC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row by descending cosine, equal ones by place, NaN last."""
    by_place = np.argsort(place_AC, axis=1, kind="stable")
    cosine_AC = np.take_along_axis(cosine_AC, by_place, 1)
    by_cosine = np.argsort(-cosine_AC, axis=1, kind="stable")  # NaN goes last
    order = np.take_along_axis(by_place, by_cosine, 1)
    return np.take_along_axis(place_AC, order, 1), np.take_along_axis(cosine_AC, by_cosine, 1)
