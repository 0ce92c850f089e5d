"""Sorting the activations of each neuron: what every exact statistic starts from.

Axes: E examples, N neurons. This is the one place where the devices differ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_LAST_BITS = (1 << 29) - 1


def sort_rows(values_NE: Tensor) -> Tensor:
    """Ascending along the last axis, NaN last.

    On a CPU numpy's vectorised sort, which needs 1 to 2 ns a value where torch.sort needs 30 to 40.
    """
    if values_NE.device.type == "cpu":
        return torch.from_numpy(np.sort(values_NE.numpy(), axis=-1))
    return torch.sort(values_NE, dim=-1).values


class Labelled(NamedTuple):
    """All activations of each neuron, ascending, with the concept of each."""

    values_NE: Tensor
    """float64."""
    concepts_NE: Tensor
    """int64."""


def sort_labelled(acts_NE: Tensor, labels_E: Tensor) -> Labelled:
    """Sort float32 rows with the concept of each column, labels_E (int64, below 2^29).

    One sort of numbers in place of an argsort: a float32 leaves the last 29 bits of a float64 zero, and the
    concept goes there. Every bit of the value comes before it, so it orders only equal values. With it an
    infinity is a NaN: whatever is not finite comes last.
    """
    packed_NE = (acts_NE.double().view(torch.int64) | labels_E).view(torch.float64)
    bits_NE = sort_rows(packed_NE).view(torch.int64)
    return Labelled((bits_NE & ~_LAST_BITS).view(torch.float64), bits_NE & _LAST_BITS)


def counts_below(everything: Labelled, queries_NQ: np.ndarray, n_concepts: int) -> np.ndarray:
    """How many examples of each concept are smaller than each query (float64) of their neuron; int64 [N, Q, C].

    The queries cut a sorted row into stretches; one pass over the row counts the concepts in each stretch, and a
    running sum over the stretches is what lies below each query.
    """
    values_NE, concepts_NE = everything
    (width, n), n_queries = values_NE.shape, queries_NQ.shape[1]
    place_NQ = torch.searchsorted(values_NE, torch.from_numpy(np.ascontiguousarray(queries_NQ)).to(values_NE.device))
    # How many queries cut the row at or before each place: the stretch that the value there lies in.
    cuts = torch.zeros((width, n + 1), dtype=torch.int32, device=values_NE.device)
    cuts.scatter_add_(1, place_NQ, cuts.new_ones(1).expand_as(place_NQ))
    stretch_NE = cuts.cumsum_(dim=1)[:, :n]
    cells = torch.add(concepts_NE, stretch_NE, alpha=n_concepts)
    counts = cells.new_zeros((width, (n_queries + 1) * n_concepts))
    counts.scatter_add_(1, cells, counts.new_ones(1).expand_as(cells))
    counts_NSC = counts.reshape(width, n_queries + 1, n_concepts).cumsum(dim=1)
    # The last stretch below a query is that of the value before it, or the first, then empty, if there is none.
    last_NQ = F.pad(stretch_NE, (1, 0)).gather(1, place_NQ).long()
    return counts_NSC.gather(1, last_NQ[..., None].expand(-1, -1, n_concepts)).cpu().numpy()
