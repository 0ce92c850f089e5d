"""The activations of a batch at one place, and how they are taken: token after token, or of a neuron in a text.

Axes: B texts of a batch, T tokens of a text, N neurons, P tokens that count of a text, C candidates of lists.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from builders.exemplars.kinds import EXTREME_WINDOW

TOGETHER = 256
"""Tokens that sums are made of at a time, or those of one text: fewer cost as much, and more leave the cache."""


@dataclass(frozen=True)
class Batch:
    """Texts that are read together, wherever they are read. Each has at least one token that counts.

    `places`: of each text, which tokens count, ascending; `drawn`, `compared`: which of those quantiles and
    correlations are of. `shard_X`: hashes of all texts of the shard, where every neuron sees each of them.
    """

    texts_B: np.ndarray
    hashes_B: np.ndarray
    lengths: list[int]
    places: list[np.ndarray]
    drawn: list[np.ndarray]
    compared: list[np.ndarray]
    first_token: int
    shard_X: np.ndarray | None = None

    @cached_property
    def slices(self) -> list[slice | Tensor]:
        """How to take the tokens that count of each text: without a copy where they follow each other."""
        return [_taken(each) for each in self.places]

    @cached_property
    def runs(self) -> list[slice]:
        """Texts beside each other whose tokens that count stand at the same places, a few hundred tokens at a time."""
        starts: list[int] = []
        for row, taken in enumerate(self.slices):
            alike = starts and isinstance(taken, slice) and taken == self.slices[starts[-1]]
            if not alike or (row + 1 - starts[-1]) * len(self.places[row]) > TOGETHER:
                starts.append(row)
        return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(self.places)], strict=True)]

    @cached_property
    def places_BP(self) -> np.ndarray:
        """The places of each text; where it has fewer than another, its last one again: int64 [B, P]."""
        return last_again(self.places)

    @cached_property
    def place_of_BL(self) -> np.ndarray:
        """Which of the tokens that count of its text a position is, -1: none, also beyond the end of the longest."""
        found = np.full((len(self.places), max(self.lengths) + EXTREME_WINDOW), -1)
        for row, places in enumerate(self.places):
            found[row, places] = np.arange(len(places))
        return found


_FEW = 64
"""Candidates of a text that are looked up one by one."""

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
    def gather(self, rows_C: np.ndarray, neurons_C: np.ndarray, gated: bool) -> tuple[Tensor, Tensor | None]:
        """(activations [C, P] float32, where the gate is negative) of the places of a neuron's text (`places_BP`).

        `rows_C`: ascending. The second only where it is asked for and there is a gate.
        """

    @abstractmethod
    def groups(self) -> Iterator[Group]:
        """All tokens that count, text after text."""


@dataclass(frozen=True)
class Seen(AtPlace):
    """Where every token has an activation."""

    batch: Batch
    acts_BTN: Tensor
    negative_BTN: Branches

    def gather(self, rows_C: np.ndarray, neurons_C: np.ndarray, gated: bool) -> tuple[Tensor, Tensor | None]:
        """Text after text."""
        batch, branches = self.batch, self.negative_BTN

        def taken(each_BTN: Tensor) -> Tensor:
            return gathered(
                each_BTN.flatten(0, 1),
                batch.places_BP + each_BTN.shape[1] * np.arange(len(batch.places))[:, None],
                *(rows_C, neurons_C),
            )

        return taken(self.acts_BTN).float(), taken(branches[0]) if gated and branches is not None else None

    def groups(self) -> Iterator[Group]:
        """Short texts of one length together; not all at once: that would be the largest tensor of a build."""
        for rows in self.batch.runs:
            lengths = [len(places) for places in self.batch.places[rows]]
            at = rows, self.batch.slices[rows.start]
            yield Group(rows, lengths, *activations_of(self.acts_BTN, self.negative_BTN, partial(_tokens, at=at)))


def _tokens(each_BTN: Tensor, at: tuple[slice, slice | Tensor]) -> Tensor:
    """Token after token; a copy only where several texts are not whole."""
    return each_BTN[at].flatten(0, 1)


def gathered(each_RN: Tensor, rows_BP: np.ndarray, texts_C: np.ndarray, neurons_C: np.ndarray) -> Tensor:
    """[C, P]: of each candidate its neuron in the rows of its text. `texts_C`: ascending, which of `rows_BP`."""
    device = each_RN.device
    neurons = torch.from_numpy(neurons_C).to(device)
    first_S = np.flatnonzero(np.diff(texts_C, prepend=-1))
    if device.type != "cpu" or len(texts_C) < _FEW * len(first_S):
        rows_BP_there, texts = torch.from_numpy(rows_BP).to(device), torch.from_numpy(texts_C).to(device)
        return each_RN[rows_BP_there[texts], neurons[:, None]]
    # Many neurons of a text are taken a row at a time, as rows lie in memory.
    found_CP = each_RN.new_empty((len(texts_C), rows_BP.shape[1]))
    for start, end in zip(first_S, np.append(first_S[1:], len(texts_C)), strict=True):
        rows_P = rows_BP[texts_C[start]]
        beside = (np.diff(rows_P) == 1).all()  # then nothing is copied
        rows_PN = each_RN[rows_P[0] : rows_P[-1] + 1] if beside else each_RN[torch.from_numpy(rows_P)]
        found_CP[start:end] = rows_PN.index_select(1, neurons[start:end]).T
    return found_CP


def last_again(rows: list[np.ndarray]) -> np.ndarray:
    """Rows as one array; the last number of a shorter one stands again until its end."""
    longest = np.arange(max(map(len, rows)))
    return np.stack([row[np.minimum(longest, len(row) - 1)] for row in rows])


def _taken(places: np.ndarray) -> slice | Tensor:
    if len(places) == places[-1] + 1 - places[0]:
        return slice(int(places[0]), int(places[-1]) + 1)
    return torch.from_numpy(places)
