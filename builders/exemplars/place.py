"""What is kept of the texts at one site and layer while a shard is read: lists of texts, and sums.

Axes: B texts of a batch, T tokens of a text, N neurons, C candidates of lists, W tokens of a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from atlas.errors import BuildError
from builders.exemplars.draws import hashes_of_neurons
from builders.exemplars.lists import FINE, NOT_HERE, Lists, Looked, comparable
from builders.exemplars.masks import only
from builders.exemplars.tally import Tally, text_sums

EPSILON = 0.01
EXTREME_WINDOW, BAND_WINDOW = 14, 6
DRAWN = 32
"""Texts that the bands are of."""


class List(NamedTuple):
    """A list of texts. `sign`: of what is largest in a text; `closed`: whether the gate of tokens that may stand for it
    is negative, None: any. `drawn`: whether texts come in by their hash. `window`: tokens of a window.
    """

    code: int
    sign: int
    most: int
    closed: bool | None = None
    drawn: bool = False
    window: int = 0


PLAIN = (
    List(1, 1, 16, window=EXTREME_WINDOW),
    List(2, -1, 16, window=EXTREME_WINDOW),
    List(3, 1, DRAWN, drawn=True, window=BAND_WINDOW),
)
# An activation has the sign of gate x up.
GATED = (
    List(7, 1, 4, closed=False),
    List(8, -1, 4, closed=False),
    List(9, -1, 4, closed=True),
    List(10, 1, 4, closed=True),
)


@dataclass(frozen=True)
class Batch:
    """Texts that are read together, wherever they are read. Each has at least one token that counts.

    `places`: of each text, which tokens count, ascending; `drawn`, `compared`: which of those quantiles and
    correlations are of.
    """

    texts_B: np.ndarray
    hashes_B: np.ndarray
    lengths: list[int]
    places: list[np.ndarray]
    drawn: list[np.ndarray]
    compared: list[np.ndarray]
    first_token: int

    @cached_property
    def slices(self) -> list[slice | Tensor]:
        """How to take the tokens that count of each text: without a copy where they follow each other."""
        return [_taken(each) for each in self.places]


@dataclass(frozen=True)
class Seen:
    """The activations of a batch at one place, and where the branches of gated neurons, gate and up, are negative."""

    batch: Batch
    acts_BTN: Tensor
    negative_BTN: tuple[Tensor, Tensor] | None

    def text(self, row: int) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """(activations [T, N] float32, where branches are negative) of the tokens that count of one text."""
        taken = self.batch.slices[row]
        acts_TN = self.acts_BTN[row][taken].float()
        if self.negative_BTN is None:
            return acts_TN, None
        gate_BTN, up_BTN = self.negative_BTN
        return acts_TN, (gate_BTN[row][taken], up_BTN[row][taken])

    def look(self, kind: List, rows_C: np.ndarray, neurons_C: np.ndarray) -> Looked:
        """Where in their texts candidates are best, and what is around it."""
        n = len(rows_C)
        found = Looked(
            np.zeros(n, np.int32),
            np.zeros(n, np.float32),
            np.zeros(n, np.float32),
            np.empty((n, kind.window), np.int16),
        )
        for row in np.unique(rows_C):
            of_C = np.flatnonzero(rows_C == row)
            neurons = torch.from_numpy(neurons_C[of_C]).to(self.acts_BTN.device)
            acts_TN, branches = self.text(row)
            acts_TC = allowed_TC = acts_TN.index_select(1, neurons)
            if kind.closed is not None and branches is not None:
                closed_TC = branches[0].index_select(1, neurons)
                allowed_TC = only(acts_TC, closed_TC if kind.closed else ~closed_TC)
            at_C = torch.from_numpy(comparable((kind.sign * allowed_TC).cpu().numpy()).argmax(0))
            places = self.batch.places[row]
            found.positions_C[of_C] = places[at_C.numpy()]
            found.values_C[of_C] = acts_TC.cpu().gather(0, at_C[None])[0].numpy()
            if kind.window:
                scales, windows = self._windows(kind.window, row, found.positions_C[of_C], acts_TC.cpu().numpy())
                found.scales_C[of_C], found.windows_CW[of_C] = scales, windows
        return found

    def _windows(
        self, width: int, row: int, positions_C: np.ndarray, acts_TC: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(largest absolute activation [C], int16 [C, W]) of the tokens around each position."""
        length = self.batch.lengths[row]
        place_of = np.full(length + width, -1)
        place_of[self.batch.places[row]] = np.arange(len(acts_TC))
        starts_C = np.maximum(self.batch.first_token, np.minimum(positions_C - width * 3 // 4, length - width))
        place_CW = place_of[starts_C[:, None] + np.arange(width)]
        acts_CW = np.where(place_CW < 0, 0, acts_TC[place_CW, np.arange(len(positions_C))[:, None]])
        scales_C = np.abs(acts_CW).max(1)
        steps_CW = np.rint(acts_CW / np.where(scales_C > 0, scales_C, 1)[:, None] * FINE)
        return scales_C, np.where(place_CW < 0, NOT_HERE, steps_CW).astype(np.int16)


class PlaceState:
    """The lists of one place over all shards of this process, and the sums of the shard that is being read.

    What lists hold of earlier shards keeps texts out that cannot come into the lists of all; so only few do.
    """

    def __init__(self, layer: int, width: int, gated: bool) -> None:
        self.layer, self.width, self.gated = layer, width, gated
        self.lists = {
            kind: Lists(width, kind.most, kind.window, np.uint64 if kind.drawn else np.float32)
            for kind in (*PLAIN, *(GATED if gated else ()))
        }
        self.begin()

    def begin(self) -> None:
        """Sums start anew with a shard."""
        self.tally = Tally.empty(self.width)
        self.compared: list[np.ndarray] = []
        """Activations [T, N] of the tokens of each text that correlations are of, in the order of `compared_at`."""
        self.compared_at: list[tuple[int, int]] = []
        """Text and position of each of these tokens."""

    def take(self, seen: Seen) -> None:
        """Take the texts of a batch. Raises BuildError for activations that are no numbers."""
        batch = seen.batch
        extremes: list[list[Tensor]] = [[] for _ in range(6 if self.gated else 2)]
        sums, sampled = [], []
        for row, places in enumerate(batch.places):
            acts_TN, branches = seen.text(row)
            places_T = torch.from_numpy(places).to(acts_TN)
            sums.append(text_sums(acts_TN, places_T, EPSILON, branches))
            parts = [acts_TN]
            if branches is not None:
                closed_TN = only(acts_TN, branches[0])
                parts += [acts_TN - closed_TN, closed_TN]
            for index, part in enumerate(parts):
                extremes[2 * index].append(part.amax(0))
                extremes[2 * index + 1].append(part.amin(0))
            if batch.compared[row].any():
                kept = np.flatnonzero(batch.compared[row])
                self.compared.append(acts_TN[torch.from_numpy(kept).to(acts_TN.device)].cpu().numpy())
                self.compared_at += [(int(batch.texts_B[row]), at) for at in places[kept].tolist()]
            if batch.drawn[row].any():
                sampled.append(acts_TN[torch.from_numpy(np.flatnonzero(batch.drawn[row])).to(acts_TN.device)])
        found = [torch.stack(each).cpu().numpy() for each in extremes]
        high_BN, low_BN = found[:2]
        if not (np.isfinite(high_BN).all() and np.isfinite(low_BN).all()):
            raise BuildError(f"activations of layer {self.layer} are not finite", "Use another --dtype: float32.")
        self.tally.add(batch.places, sums)
        self.tally.spread(low_BN, high_BN)
        if sampled:
            self.tally.sample(torch.cat(sampled))
        for kind, lists in self.lists.items():
            lists.offer(
                self._keys(kind, batch, high_BN, low_BN, found),
                batch.texts_B,
                lambda rows, neurons, kind=kind: seen.look(kind, rows, neurons),
            )

    def _keys(
        self, kind: List, batch: Batch, high_BN: np.ndarray, low_BN: np.ndarray, found: list[np.ndarray]
    ) -> np.ndarray:
        if kind.drawn:
            return hashes_of_neurons(batch.hashes_B, self.layer, self.width)
        if kind.closed is None:
            return comparable(-high_BN if kind.sign > 0 else low_BN)
        best_BN = found[(4 if kind.closed else 2) + (kind.sign < 0)]
        return np.where(kind.sign * best_BN > 0, comparable(-kind.sign * best_BN), np.float32(np.inf))


def _taken(places: np.ndarray) -> slice | Tensor:
    if len(places) == places[-1] + 1 - places[0]:
        return slice(int(places[0]), int(places[-1]) + 1)
    return torch.from_numpy(places)
