"""What is kept of the texts at one site and layer while a shard is read: lists of texts, and sums.

Axes: B texts of a batch, T tokens of a text, N neurons.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from atlas.errors import BuildError
from builders.exemplars.draws import hashes_of_neurons, hashes_of_tokens, last_of_neurons
from builders.exemplars.kinds import DRAWN, GATED, PLAIN, List
from builders.exemplars.lists import Lists, comparable
from builders.exemplars.look import look
from builders.exemplars.masks import only
from builders.exemplars.seen import AtPlace, Batch
from builders.exemplars.tally import HELD_TOKENS, Tally, text_sums

EPSILON = 0.01


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
        self.last_drawn: np.ndarray | None = None
        """The largest hash that a text of this shard may have to be drawn at last, of each neuron; None: not known."""

    def take(self, seen: AtPlace) -> None:
        """Take the texts of a batch. Raises BuildError for activations that are no numbers."""
        batch = seen.batch
        extremes: list[list[Tensor]] = [[] for _ in range(6 if self.gated else 2)]
        sums, placed = [], []
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
                self.tally.sample(acts_TN if drawn_T.all() else _rows(acts_TN, drawn_T))
            if self.routed:
                hashes_T = hashes_of_tokens(np.repeat(batch.hashes_B[group.rows], group.lengths), places)
                self.tally.keep_first(hashes_T, acts_TN)
        found = [torch.cat(each).cpu().numpy() for each in extremes]
        high_BN, low_BN = found[:2]
        if not (np.isfinite(high_BN).all() and np.isfinite(low_BN).all()):
            raise BuildError(f"activations of layer {self.layer} are not finite", "Use another --dtype: float32.")
        self.tally.add(placed, sums)
        self.tally.spread(low_BN, high_BN)
        self.tally.count_held(HELD_TOKENS)
        if self.last_drawn is None and batch.shard_X is not None:
            self.last_drawn = last_of_neurons(batch.shard_X, DRAWN, self.layer, self.width, self.first_neuron)
        for kind, lists in self.lists.items():
            lists.offer(
                self._keys(kind, batch, high_BN, low_BN, found),
                batch.texts_B,
                lambda rows, neurons, kind=kind: look(seen, kind, rows, neurons),
                self.last_drawn if kind.drawn else None,
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


def _rows(acts_TN: Tensor, chosen_T: np.ndarray) -> Tensor:
    return acts_TN[torch.from_numpy(np.flatnonzero(chosen_T)).to(acts_TN.device)]


def _of_texts(values_TN: Tensor, lengths: list[int], extreme: Literal["amax", "amin"]) -> Tensor:
    """The extreme of each text, whose tokens follow each other: [B, N]."""
    if min(lengths) == max(lengths):
        return getattr(values_TN.view(len(lengths), lengths[0], -1), extreme)(1)
    text_T = torch.repeat_interleave(torch.tensor(lengths)).to(values_TN.device)
    none = -torch.inf if extreme == "amax" else torch.inf
    found_BN = values_TN.new_full((len(lengths), values_TN.shape[1]), none)
    return found_BN.scatter_reduce_(0, text_T[:, None].expand_as(values_TN), values_TN, extreme)
