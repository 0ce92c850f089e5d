"""The tokens of a batch that were routed to an expert: as if its texts had no others, except that windows have gaps.

Axes: B texts of a batch, P tokens of it with padding, text after text, R tokens routed to the expert, N its units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from atlas.live.expert_pass import Routed
from builders.exemplars.seen import AtPlace, Batch, Branches, Group, activations_of, gathered, last_again


@dataclass(frozen=True)
class Marks:
    """What is to be known of each token of a padded batch, once for all experts. bool [P], int64 for `position_P`."""

    batch: Batch
    row_P: np.ndarray
    position_P: np.ndarray
    counted_P: np.ndarray
    drawn_P: np.ndarray

    @classmethod
    def of(cls, batch: Batch, length: int) -> Marks:
        """`length`: of a row, padding included."""
        shape = (len(batch.places), length)
        counted, drawn = np.zeros(shape, bool), np.zeros(shape, bool)
        for row, places in enumerate(batch.places):
            counted[row, places] = True
            drawn[row, places] = batch.drawn[row]
        row_P, position_P = np.divmod(np.arange(counted.size), length)
        return cls(batch, row_P, position_P, counted.reshape(-1), drawn.reshape(-1))


@dataclass(frozen=True)
class SeenRouted(AtPlace):
    """Of one expert. `batch`: the texts with a token that counts and was routed there, and of each these tokens."""

    batch: Batch
    acts_RN: Tensor
    negative_RN: Branches

    def gather(self, rows_C: np.ndarray, neurons_C: np.ndarray, gated: bool) -> tuple[Tensor, Tensor | None]:
        """Rows of a text follow each other."""

        def taken(each_RN: Tensor) -> Tensor:
            return gathered(each_RN, self._rows_BP, rows_C, neurons_C)

        branches = self.negative_RN
        return taken(self.acts_RN).float(), taken(branches[0]) if gated and branches is not None else None

    def groups(self) -> Iterator[Group]:
        """All at once: an expert sees few tokens of a text."""
        lengths = [len(places) for places in self.batch.places]
        yield Group(slice(None), lengths, *activations_of(self.acts_RN, self.negative_RN, lambda each_RN: each_RN))

    @cached_property
    def _rows_BP(self) -> np.ndarray:
        ends = np.cumsum([len(places) for places in self.batch.places])
        return last_again(np.split(np.arange(ends[-1]), ends[:-1]))


def seen_by_expert(marks: Marks, routed: Routed, negative_RN: Branches) -> SeenRouted | None:
    """What an expert gives of a batch; None where no token that counts was routed there."""
    tokens_R = routed.tokens_R.cpu().numpy()
    counted_R = marks.counted_P[tokens_R]
    kept = np.flatnonzero(counted_R)
    if not len(kept):
        return None
    tokens_R = tokens_R[kept]
    rows_B, starts = np.unique(marks.row_P[tokens_R], return_index=True)

    def by_text(values_P: np.ndarray) -> list[np.ndarray]:
        return np.split(values_P[tokens_R], starts[1:])

    whole = marks.batch
    places = by_text(marks.position_P)
    batch = replace(
        whole,
        texts_B=whole.texts_B[rows_B],
        hashes_B=whole.hashes_B[rows_B],
        lengths=[whole.lengths[row] for row in rows_B.tolist()],
        places=places,
        drawn=by_text(marks.drawn_P),
        shard_X=None,
        compared=[np.zeros(len(each), bool) for each in places],  # neurons of different experts share few tokens
    )
    if counted_R.all():
        return SeenRouted(batch, routed.acts_RN, negative_RN)
    index = torch.from_numpy(kept).to(routed.acts_RN.device)
    negative = None if negative_RN is None else (negative_RN[0][index], negative_RN[1][index])
    return SeenRouted(batch, routed.acts_RN[index], negative)
