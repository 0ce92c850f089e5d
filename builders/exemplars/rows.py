"""What units note and what the last ones make of it, as Arrow tables. Column names are the schema's.

Axes: N neurons, K places of a list, R noted rows, F fine bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from atlas.schema.exemplar_tables import (
    EXEMPLAR_TABLES,
    NOTED_COMPARED,
    NOTED_EXEMPLARS,
    NOTED_FIRING,
    OCTAVES,
    PROBABILITIES,
)
from builders.arrow import fixed_lists, rows_of, type_of
from builders.exemplars.place import PlaceState
from builders.exemplars.tally import LOWEST, PER_OCTAVE, SIDE, Moments, Tally, edges, fine_bins, merged

_TABLES = {table.name: table for table in EXEMPLAR_TABLES}
_NOT_NUMBERS = ("counts", "bins", "in_bins", "first_hash", "first")


def noted_lists(state: PlaceState, place: int, shard: int, texts: range) -> pa.Table:
    """What the lists of a place hold of the texts of a shard."""
    parts = []
    for kind, lists in state.lists.items():
        inside_NK = (lists.texts_NK >= texts.start) & (lists.texts_NK < texts.stop)
        neuron_R, place_R = np.nonzero(inside_NK)
        n = len(neuron_R)
        keys_R = lists.keys_NK[inside_NK]
        window = lists.windows_NKW[neuron_R, place_R]
        parts.append(
            _table(
                NOTED_EXEMPLARS,
                {
                    "place": np.full(n, place),
                    "shard": np.full(n, shard),
                    "list": np.full(n, kind.code),
                    "neuron": neuron_R + state.first_neuron,
                    "text_id": lists.texts_NK[inside_NK],
                    "key": np.zeros(n) if kind.drawn else keys_R,
                    "drawn": keys_R if kind.drawn else np.zeros(n, np.uint64),
                    "position": lists.positions_NK[inside_NK],
                    "value": lists.values_NK[inside_NK],
                    "scale": lists.scales_NK[inside_NK],
                    "window": pa.ListArray.from_arrays(
                        pa.array(np.arange(n + 1, dtype=np.int32) * kind.window), pa.array(window.reshape(-1))
                    ),
                },
            )
        )
    return pa.concat_tables(parts)


def noted_compared(state: PlaceState, place: int, shard: int) -> pa.Table:
    """The activations of a shard that correlations are of."""
    acts_TN = np.concatenate(state.compared) if state.compared else np.empty((0, state.width), np.float32)
    texts, positions = (list(each) for each in zip(*state.compared_at, strict=True)) if state.compared_at else ([], [])
    row = {"place": place, "shard": shard, "text_id": texts, "position": positions, "acts": acts_TN.tobytes()}
    return rows_of(NOTED_COMPARED, [row])


def compared_of(noted: pa.Table) -> np.ndarray:
    """The activations of all shards of a place, float32 [T, N], by text and position."""
    at_T = np.concatenate([np.stack([row["text_id"], row["position"]], 1) for row in noted.to_pylist()])
    acts_TN = np.frombuffer(b"".join(noted["acts"].to_pylist()), np.float32).reshape(len(at_T), -1)
    return acts_TN[np.lexsort(at_T.T[::-1])]


def correlated_rows(place_M: np.ndarray, group_M: np.ndarray, site: str, layers: list[int], width: int) -> pa.Table:
    """Rows of `_correlated` from places: the index of the layer · width + neuron."""
    index_M, neuron_M = np.divmod(place_M, width)
    sites = pa.array([site] * len(place_M), pa.string())
    return _table(
        _TABLES["_correlated"],
        {"site": sites, "layer": np.asarray(layers)[index_M], "neuron": neuron_M, "group_id": group_M},
    )


def noted_firing(tally: Tally, place: int, shard: int, first_neuron: int = 0) -> pa.Table:
    """The sums of neurons of a place, in a row from `first_neuron` on, over a shard; none where it has no token."""
    if not tally.moments:
        return rows_of(NOTED_FIRING, [])
    tally.count_held()
    moments, width = merged(tally.moments[0]), len(tally.min)
    neuron_C, bin_C = np.nonzero(tally.bins_NF)
    offsets = pa.array(np.searchsorted(neuron_C, np.arange(width + 1)).astype(np.int32))
    every = {"place": place, "shard": shard, "n": int(moments.n_G[0])}
    every |= {"mean_place": moments.mean_place_G[0], "squares_place": moments.squares_place_G[0]}
    return _table(
        NOTED_FIRING,
        {
            **{name: np.full(width, value) for name, value in every.items()},
            "neuron": np.arange(first_neuron, first_neuron + width),
            "mean": moments.mean_GN[0],
            "squares": moments.squares_GN[0],
            "products": moments.products_GN[0],
            "min": tally.min,
            "max": tally.max,
            "counts": pa.ListArray.from_arrays(
                pa.array(np.arange(width + 1, dtype=np.int32) * len(tally.counts)),
                pa.array(np.ascontiguousarray(tally.counts.T).reshape(-1)),
            ),
            "bins": pa.ListArray.from_arrays(offsets, pa.array(bin_C.astype(np.int16))),
            "in_bins": pa.ListArray.from_arrays(offsets, pa.array(tally.bins_NF[neuron_C, bin_C])),
            "first_hash": pa.array([None if tally.first is None else tally.first[0]] * width, pa.uint64()),
            "first": pa.nulls(width, pa.float32()) if tally.first is None else pa.array(tally.first[1]),
        },
    )


def firing_rows(
    noted: pa.Table, site: str, layer: int, gated: bool, first_neuron: int = 0, routed: bool = False
) -> pa.Table:
    """Rows of `_firing` of neurons that have the same tokens, in a row from `first_neuron` on.

    Shards are summed in their order, whatever order they were made in. `routed`: only some tokens reach the neurons;
    there are no rows where none did.
    """
    if not len(noted):
        return rows_of(_TABLES["_firing"], [])
    columns = {name: noted[name].to_numpy() for name in noted.column_names if name not in _NOT_NUMBERS}
    shards_G, first_G = np.unique(columns["shard"], return_index=True)
    width = int(columns["neuron"].max()) + 1 - first_neuron
    row_GN = np.lexsort((columns["neuron"], columns["shard"])).reshape(len(shards_G), width)
    taken = {name: columns[name][row_GN] for name in ("mean", "squares", "products", "min", "max")}
    once = {name: columns[name][first_G].astype(np.float64) for name in ("n", "mean_place", "squares_place")}
    total = merged(Moments(*once.values(), taken["mean"], taken["squares"], taken["products"]))
    n = total.n_G[0]
    low_N, high_N = taken["min"].min(0), taken["max"].max(0)
    counts_NC = noted["counts"].combine_chunks().flatten().to_numpy().reshape(len(row_GN.reshape(-1)), -1)
    counts_NC = counts_NC[row_GN].sum(0)
    bins_NF = _all_bins(noted, first_neuron, width)
    if routed and not bins_NF.any():
        bins_NF = _bins_of_first(noted, row_GN)
    scale_N = np.sqrt(total.squares_GN[0] * total.squares_place_G[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation_N = np.clip(np.where(scale_N > 0, total.products_GN[0] / scale_N, np.nan), -1, 1)
    octave_N = octaves(np.maximum(np.abs(low_N), np.abs(high_N)))
    gate_N, up_N, both_N = counts_NC[:, 2:].T
    quadrants_N4 = np.stack([n - gate_N - up_N + both_N, up_N - both_N, gate_N - both_N, both_N], 1).astype(np.int64)
    none = pa.nulls(width, pa.int64())
    return _table(
        _TABLES["_firing"],
        {
            "site": pa.array([site] * width),
            "layer": np.full(width, layer),
            "neuron": np.arange(first_neuron, first_neuron + width),
            "mean": np.clip(total.mean_GN[0], low_N, high_N),
            "std": np.sqrt(total.squares_GN[0] / n),
            "positive": counts_NC[:, 0],
            "beyond": counts_NC[:, 1],
            "position_correlation": pa.array(correlation_N, from_pandas=True),
            "quantiles": fixed_lists(quantiles(bins_NF, low_N, high_N), pa.float32()),
            "octave": octave_N,
            "histogram": fixed_lists(histograms(bins_NF, octave_N), pa.int32()),
            "quadrants": fixed_lists(quadrants_N4, pa.int64()) if gated else pa.nulls(width, type_of("BIGINT[4]")),
            "routed": np.full(width, int(n)) if routed else none,
            "routed_sampled": np.full(width, int(bins_NF[0].sum())) if routed else none,
        },
    )


def quantiles(bins_NF: np.ndarray, low_N: np.ndarray, high_N: np.ndarray) -> np.ndarray:
    """Quantiles at PROBABILITIES: the value of that rank, placed in its fine bin by its rank there. [N, 21] float32."""
    upward = np.concatenate([np.arange(2 * SIDE - 1, SIDE - 1, -1), np.arange(SIDE)])  # by value
    edge = edges()
    lower, upper = np.concatenate([-edge[:0:-1], edge[:-1]]), np.concatenate([-edge[-2::-1], edge[1:]])
    until_NF = np.cumsum(bins_NF[:, upward], 1, dtype=np.int64)
    total_N = until_NF[:, -1]
    rank_NP = np.maximum(np.ceil(np.outer(total_N, PROBABILITIES) - 1e-9), 1)
    # One search for all neurons: the counts of each begin where those of the one before it end.
    before_N = np.cumsum(total_N) - total_N
    flat_NP = np.searchsorted((until_NF + before_N[:, None]).reshape(-1), rank_NP + before_N[:, None])
    at_NP = flat_NP - np.arange(len(bins_NF))[:, None] * len(upward)
    before_NP = np.where(at_NP > 0, np.take_along_axis(until_NF, np.maximum(at_NP - 1, 0), 1), 0)
    inside_NP = (rank_NP - before_NP - 0.5) / (np.take_along_axis(until_NF, at_NP, 1) - before_NP)
    found = lower[at_NP] + (upper - lower)[at_NP] * inside_NP
    found = np.clip(found, low_N[:, None], high_N[:, None])
    found[:, 0], found[:, -1] = low_N, high_N
    return found.astype(np.float32)


def octaves(largest_N: np.ndarray) -> np.ndarray:
    """The whole part of the logarithm to base 2; of 0 it is 0."""
    return np.where(largest_N > 0, np.frexp(largest_N)[1] - 1, 0)


def histograms(bins_NF: np.ndarray, octave_N: np.ndarray) -> np.ndarray:
    """Counts by octave below that of the largest, on each side of 0: [N, 2 * OCTAVES]."""
    found = np.zeros((len(bins_NF), 2, OCTAVES), np.int64)
    octaves_NSO = bins_NF.reshape(len(bins_NF), 2, -1, PER_OCTAVE).sum(3)
    for index in range(octaves_NSO.shape[2]):
        step_N = np.clip(octave_N - (LOWEST + index), 0, OCTAVES - 1) if index else np.full(len(bins_NF), OCTAVES - 1)
        for side in range(2):
            np.add.at(found[:, side], (np.arange(len(found)), step_N), octaves_NSO[:, side, index])
    return found.reshape(len(found), -1)


def at_place(noted: pa.Table, place: int) -> pa.Table:
    """The rows that were noted of one place."""
    return noted.filter(pc.equal(noted["place"], place))


def at_neurons(noted: pa.Table, first_neuron: int, width: int) -> pa.Table:
    """The rows that were noted of neurons in a row."""
    neuron = noted["neuron"]
    return noted.filter(
        pc.and_(pc.greater_equal(neuron, first_neuron), pc.less(neuron, first_neuron + width))
    ).combine_chunks()


def _bins_of_first(noted: pa.Table, row_GN: np.ndarray) -> np.ndarray:
    """Fine bins of the one token that stands for all: the one with the smallest hash of all shards. int64 [N, F]."""
    hashes_G = noted["first_hash"].to_numpy()[row_GN[:, 0]]
    first_N = noted["first"].to_numpy()[row_GN[hashes_G.argmin()]]
    bin_N = fine_bins(torch.from_numpy(first_N[None].astype(np.float32)))[0].numpy()
    return (np.arange(2 * SIDE) == bin_N[:, None]).astype(np.int64)


def _all_bins(noted: pa.Table, first_neuron: int, width: int) -> np.ndarray:
    """Fine bins of all shards together: int64 [N, F]."""
    bins, counts = (noted[name].combine_chunks() for name in ("bins", "in_bins"))
    neuron_C = np.repeat(noted["neuron"].to_numpy() - first_neuron, np.diff(bins.offsets.to_numpy()))
    code_C = neuron_C.astype(np.int64) * 2 * SIDE + bins.flatten().to_numpy()
    found = np.bincount(code_C, counts.flatten().to_numpy(), minlength=width * 2 * SIDE)
    return found.astype(np.int64).reshape(width, 2 * SIDE)


def _table(table: Any, columns: dict[str, Any]) -> pa.Table:
    """Arrays as the columns of a table, with its types, in its order."""
    named = {column.name: column for column in table.columns}
    arrays = [
        columns[name] if isinstance(columns[name], pa.Array) else pa.array(np.asarray(columns[name])) for name in named
    ]
    types = [type_of(column.type) for column in named.values()]
    return pa.table([array.cast(kind) for array, kind in zip(arrays, types, strict=True)], names=list(named))
