"""Arrays of one weight and layer -> the Arrow tables that the staging area takes. Column names are the schema's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from atlas.sites import row_number
from builders.arrow import fixed_lists


def decoding_rows(
    *,
    weight: str,
    layer: int,
    first_neuron: int = 0,
    n_layers: int,
    width: int | None = None,
    norm_N: np.ndarray,
    raised_lse_N: np.ndarray,
    lowered_lse_N: np.ndarray,
    raised_token_NK: np.ndarray,
    raised_logit_NK: np.ndarray,
    lowered_token_NK: np.ndarray,
    lowered_logit_NK: np.ndarray,
) -> pa.Table:
    """Rows of `_decoding` for neurons of one weight and layer, from `first_neuron` on; K is the atlas's `top`.

    `width`: neurons of the widest layer, the stride of `nid`; None: as many as these.
    """
    n = len(norm_N)
    neurons_N = np.arange(first_neuron, first_neuron + n, dtype=np.int32)
    first = row_number(weight, layer, 0, n_layers, n if width is None else width)
    return pa.table(
        {
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
        }
    )


def weight_fact_rows(
    weight: str, layer: int, w_ND: np.ndarray, moments_N4: np.ndarray, first_neuron: int = 0
) -> pa.Table:
    """Rows of `_weight_fact` from the bare vectors and `Cosines.moments`; NaN becomes NULL."""
    n = len(w_ND)
    names = ("cosine_mean", "cosine_std", "cosine_skewness", "cosine_kurtosis")
    return pa.table(
        {
            "weight": pa.array([weight] * n),
            "layer": np.full(n, layer, np.int32),
            "neuron": np.arange(first_neuron, first_neuron + n, dtype=np.int32),
            "norm": np.linalg.norm(w_ND.astype(np.float64), axis=1).astype(np.float32),
            **{
                name: pa.array(moments_N.astype(np.float32), from_pandas=True)
                for name, moments_N in zip(names, moments_N4.T, strict=True)
            },
        }
    )


def vector_rows(weight: str, layer: int, w_ND: np.ndarray, first_neuron: int = 0) -> pa.Table:
    """Rows of `neuron_vector`: the bare weight vectors, without the gain."""
    n = len(w_ND)
    return pa.table(
        {
            "weight": pa.array([weight] * n),
            "layer": pa.array([layer] * n, pa.int32()),
            "neuron": pa.array(range(first_neuron, first_neuron + n), pa.int32()),
            "vector": fixed_lists(w_ND, pa.float32()),
        }
    )
