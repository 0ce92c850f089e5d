"""Arrays of one layer -> the Arrow tables that the staging area takes. Column names are the schema's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from atlas.sites import WEIGHTS

if TYPE_CHECKING:
    from builders.layer_statistics import LayerStatistics


def fixed_lists(values_NK: np.ndarray, kind: pa.DataType) -> pa.Array:
    """A 2-d array as an Arrow column of fixed-size lists."""
    flat = pa.array(np.ascontiguousarray(values_NK).reshape(-1), type=kind)
    return pa.FixedSizeListArray.from_arrays(flat, values_NK.shape[1])


def decoding_rows(
    *, weight: str, layer: int, n_layers: int, norm_N: np.ndarray, raised_lse_N: np.ndarray,
    lowered_lse_N: np.ndarray, raised_token_NK: np.ndarray, raised_logit_NK: np.ndarray,
    lowered_token_NK: np.ndarray, lowered_logit_NK: np.ndarray,
) -> pa.Table:  # fmt: skip
    """Rows of `_decoding` for all neurons of one weight and layer; K is the atlas's `top`."""
    n = len(norm_N)
    neurons_N = np.arange(n, dtype=np.int32)
    first = (list(WEIGHTS).index(weight) * n_layers + layer) * n
    return pa.table({
        "nid": neurons_N + np.int32(first),
        "weight": pa.array([weight] * n),
        "layer": np.full(n, layer, np.int32),
        "neuron": neurons_N,
        "norm": norm_N.astype(np.float32),
        "raised_lse": raised_lse_N.astype(np.float32),
        "lowered_lse": lowered_lse_N.astype(np.float32),
        "raised_token": fixed_lists(raised_token_NK, pa.int32()),
        "raised_logit": fixed_lists(raised_logit_NK, pa.float32()),
        "lowered_token": fixed_lists(lowered_token_NK, pa.int32()),
        "lowered_logit": fixed_lists(lowered_logit_NK, pa.float32()),
    })  # fmt: skip
