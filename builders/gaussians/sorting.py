"""Sorting the activations of each neuron: what every exact statistic starts from.

Axes: E examples, N neurons. This is the one place where the devices differ.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_LAST_BITS = (1 << 29) - 1


def sort_rows(values_NE: Tensor) -> Tensor:
    """Ascending along the last axis, NaN last.

    On a CPU numpy's vectorised sort, which needs 1 to 2 ns a value where torch.sort needs 30 to 40.
    """
    if values_NE.device.type == "cpu":
        return torch.from_numpy(np.sort(values_NE.numpy(), axis=-1))
    return torch.sort(values_NE, dim=-1).values


def stable_order(codes_NE: Tensor) -> Tensor:
    """The places of the codes (int64, 0 to 65,535) in ascending order, equal ones as they stand; int64 [N, E].

    On a CPU numpy's radix sort, which needs 3 to 5 ns a value where torch's needs 50.
    """
    if codes_NE.device.type == "cpu":
        return torch.from_numpy(np.argsort(codes_NE.numpy().astype(np.uint16), axis=-1, kind="stable"))
    return torch.sort(codes_NE, dim=-1, stable=True).indices


def rows_with_equal(values_NE: Tensor) -> Tensor | slice:
    """The rows, ascending, that have equal values; all where these are most, as none need be picked out then."""
    tied_N = (values_NE[:, 1:] == values_NE[:, :-1]).any(dim=1)
    return slice(None) if 2 * tied_N.count_nonzero() > len(tied_N) else tied_N.nonzero()[:, 0]


def running_max(values_NE: Tensor) -> Tensor:
    """The largest value so far, along the last axis; on a CPU by numpy, which keeps no indices."""
    if values_NE.device.type == "cpu":
        return torch.from_numpy(np.maximum.accumulate(values_NE.numpy(), axis=-1))
    return torch.cummax(values_NE, dim=-1).values


def add_up(rows: Tensor) -> None:
    """Add to each row all before it, in place; on a CPU row by row, as many additions at once as a row is long."""
    if rows.device.type == "cpu":
        _row_by_row(np.add, rows.numpy())
    else:
        rows.copy_(torch.cumsum(rows, dim=0, dtype=rows.dtype))


def keep_largest(rows: Tensor) -> None:
    """Replace each number by the largest of it and those in the rows before it, in place; as above."""
    if rows.device.type == "cpu":
        _row_by_row(np.maximum, rows.numpy())
    else:
        rows.copy_(torch.cummax(rows, dim=0).values)


def _row_by_row(function: np.ufunc, rows: np.ndarray) -> None:
    for before, row in itertools.pairwise(rows):
        function(before, row, out=row)


class Labelled(NamedTuple):
    """All activations of each neuron, ascending, with the concept of each."""

    values_NE: Tensor
    """float32."""
    concepts_NE: Tensor
    """int64."""


def sort_labelled(acts_NE: Tensor, labels_E: Tensor) -> Labelled:
    """Sort float32 rows with the concept of each column, labels_E (int64, below 2^28).

    One sort of numbers in place of an argsort: a float32 leaves the last 29 bits of a float64 zero, and the
    concept goes there. Every bit of the value comes before it, so it orders only equal values, and it is less than
    half of the float32's last digit, so rounding removes it again. With it an infinity is a NaN, which comes last.
    """
    packed_NE = acts_NE.double()
    packed_NE.view(torch.int64).bitwise_or_(labels_E)
    packed_NE = sort_rows(packed_NE)
    return Labelled(packed_NE.float(), packed_NE.view(torch.int64).bitwise_and_(_LAST_BITS))


def counts_below(everything: Labelled, queries_NQ: np.ndarray, n_concepts: int) -> np.ndarray:
    """How many examples of each concept are smaller than each query (float32) of their neuron; int32 [N, Q, C].

    The queries cut a sorted row into stretches; one pass over the row counts the concepts in each stretch, and a
    running sum over the stretches is what lies below each query.
    """
    values_NE, concepts_NE = everything
    (width, n), n_queries = values_NE.shape, queries_NQ.shape[1]
    place_NQ = torch.searchsorted(values_NE, torch.from_numpy(np.ascontiguousarray(queries_NQ)).to(values_NE.device))
    # The stretch of each value is how many queries cut the row at or before it; here the first cell of the stretch.
    cuts = place_NQ.new_zeros((width, n + 2))
    cuts.scatter_add_(1, place_NQ + 1, cuts.new_tensor(n_concepts).expand_as(place_NQ))
    cells = cuts.cumsum_(dim=1)[:, : n + 1]
    # The last stretch below a query is that of the value before it, or the first, then empty, if there is none.
    last_NQ = cells.gather(1, place_NQ).div_(n_concepts, rounding_mode="floor")
    cells = cells[:, 1:].add_(concepts_NE)
    counts = cells.new_zeros((width, (n_queries + 1) * n_concepts), dtype=torch.int32)
    counts.scatter_add_(1, cells, counts.new_ones(1).expand_as(cells))
    counts_NSC = counts.view(width, n_queries + 1, n_concepts).cumsum(dim=1, dtype=torch.int32)
    last_NQ += (n_queries + 1) * torch.arange(width, device=last_NQ.device)[:, None]
    below = counts_NSC.view(-1, n_concepts).index_select(0, last_NQ.view(-1))
    return below.view(width, n_queries, n_concepts).cpu().numpy()


def next_float32(values: np.ndarray) -> np.ndarray:
    """The smallest float32 that is not below each float64: what a float32 is below, if it is below the float64."""
    rounded = values.astype(np.float32)
    return np.where(rounded < values, np.nextafter(rounded, np.float32(np.inf)), rounded)
