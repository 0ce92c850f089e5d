"""What is kept of the texts at one site and layer while a shard is read: lists of texts, and sums.

Axes: B texts of a batch, T tokens of a text, N neurons, C candidates of lists, W tokens of a window.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from atlas.errors import BuildError
from builders.exemplars.draws import hashes_of_neurons, hashes_of_tokens
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


Branches = tuple[Tensor, Tensor] | None
"""Where the branches of gated neurons, gate and up, are negative."""


def activations_of(acts: Tensor, negative: Branches, take: Callable[[Tensor], Tensor]) -> tuple[Tensor, Branches]:
    """What `take` takes of the activations, as float32, and of where the branches are negative."""
    return take(acts).float(), None if negative is None else (take(negative[0]), take(negative[1]))


class Group(NamedTuple):
    """Tokens that sums are made of at a time: those that count of one text or of several, one after the other.

    `rows`: which texts of the batch; `lengths`: how many tokens of each.
    """

    rows: slice
    lengths: list[int]
    acts_TN: Tensor
    branches: Branches


class AtPlace(ABC):
    """The activations of a batch at one place."""

    batch: Batch

    @abstractmethod
    def text(self, row: int) -> tuple[Tensor, Branches]:
        """(activations [T, N] float32, where branches are negative) of the tokens that count of one text."""

    @abstractmethod
    def groups(self) -> Iterator[Group]:
        """All tokens that count, text after text."""

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
            acts_TN, branches = self.text(row)
            neurons = torch.from_numpy(neurons_C[of_C]).to(acts_TN.device)
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


@dataclass(frozen=True)
class Seen(AtPlace):
    """Where every token has an activation."""

    batch: Batch
    acts_BTN: Tensor
    negative_BTN: Branches

    def text(self, row: int) -> tuple[Tensor, Branches]:
        """A view where its tokens follow each other."""
        taken = self.batch.slices[row]
        return activations_of(self.acts_BTN, self.negative_BTN, lambda each_BTN: each_BTN[row][taken])

    def groups(self) -> Iterator[Group]:
        """A text at a time: a copy of the whole batch would be the largest tensor of a build."""
        for row, places in enumerate(self.batch.places):
            yield Group(slice(row, row + 1), [len(places)], *self.text(row))


class PlaceState:
    """The lists of neurons of one place over all shards of this process, and the sums of the shard that is being read.

    What lists hold of earlier shards keeps texts out that cannot come into the lists of all; so only few do. The
    neurons are `width` from `first_neuron` on. `routed`: they have activations on some of the tokens only.
    `compares`: whether activations are kept that correlations are of.
    """

    def __init__(
        self,
        layer: int,
        width: int,
        gated: bool,
        *,
        first_neuron: int = 0,
        routed: bool = False,
        compares: bool = True,
    ) -> None:
        self.layer, self.width, self.gated = layer, width, gated
        self.first_neuron, self.routed, self.compares = first_neuron, routed, compares
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

    def take(self, seen: AtPlace) -> None:
        """Take the texts of a batch. Raises BuildError for activations that are no numbers."""
        batch = seen.batch
        extremes: list[list[Tensor]] = [[] for _ in range(6 if self.gated else 2)]
        sums, placed, sampled = [], [], []
        for group in seen.groups():
            acts_TN, branches = group.acts_TN, group.branches
            places = np.concatenate(batch.places[group.rows])
            places_T = torch.from_numpy(places).to(acts_TN)
            sums.append(text_sums(acts_TN, places_T, EPSILON, branches))
            placed.append(places)
            parts = [acts_TN]
            if branches is not None:
                closed_TN = only(acts_TN, branches[0])
                parts += [acts_TN - closed_TN, closed_TN]
            for index, part in enumerate(parts):
                extremes[2 * index].append(_of_texts(part, group.lengths, "amax"))
                extremes[2 * index + 1].append(_of_texts(part, group.lengths, "amin"))
            compared_T, drawn_T = (np.concatenate(each[group.rows]) for each in (batch.compared, batch.drawn))
            if self.compares and compared_T.any():
                self.compared.append(_rows(acts_TN, compared_T).cpu().numpy())
                texts_T = np.repeat(batch.texts_B[group.rows], group.lengths)
                self.compared_at += zip(texts_T[compared_T].tolist(), places[compared_T].tolist(), strict=True)
            if drawn_T.any():
                sampled.append(_rows(acts_TN, drawn_T))
            if self.routed:
                hashes_T = hashes_of_tokens(np.repeat(batch.hashes_B[group.rows], group.lengths), places)
                self.tally.keep_first(hashes_T, acts_TN)
        found = [torch.cat(each).cpu().numpy() for each in extremes]
        high_BN, low_BN = found[:2]
        if not (np.isfinite(high_BN).all() and np.isfinite(low_BN).all()):
            raise BuildError(f"activations of layer {self.layer} are not finite", "Use another --dtype: float32.")
        self.tally.add(placed, sums)
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
            return hashes_of_neurons(batch.hashes_B, self.layer, self.width, self.first_neuron)
        if kind.closed is None:
            return comparable(-high_BN if kind.sign > 0 else low_BN)
        best_BN = found[(4 if kind.closed else 2) + (kind.sign < 0)]
        return np.where(kind.sign * best_BN > 0, comparable(-kind.sign * best_BN), np.float32(np.inf))


def _taken(places: np.ndarray) -> slice | Tensor:
    if len(places) == places[-1] + 1 - places[0]:
        return slice(int(places[0]), int(places[-1]) + 1)
    return torch.from_numpy(places)


def _rows(acts_TN: Tensor, chosen_T: np.ndarray) -> Tensor:
    return acts_TN[torch.from_numpy(np.flatnonzero(chosen_T)).to(acts_TN.device)]


def _of_texts(values_TN: Tensor, lengths: list[int], extreme: Literal["amax", "amin"]) -> Tensor:
    """The extreme of each text, whose tokens follow each other: [B, N]."""
    if len(lengths) == 1:
        return getattr(values_TN, extreme)(0, keepdim=True)
    text_T = torch.repeat_interleave(torch.tensor(lengths)).to(values_TN.device)
    none = -torch.inf if extreme == "amax" else torch.inf
    found_BN = values_TN.new_full((len(lengths), values_TN.shape[1]), none)
    return found_BN.scatter_reduce_(0, text_T[:, None].expand_as(values_TN), values_TN, extreme)
