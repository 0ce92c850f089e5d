"""Gradients for a synthetic atlas."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def gradient_rows(
    fit_id: int, concept_ids: list[int], layer: int, seed: int, sizes: tuple[int, int]
) -> dict[str, pa.Table]:
    """Rows of the product `gradients` at one layer, and with layer 0 those that a fit has once.

    `sizes`: neurons of a layer, texts of a concept. Neuron 7 of layer 1 adds most to each concept.
    """
    d_mlp, per_concept = sizes
    rng = np.random.default_rng([seed, layer, fit_id, 77])
    numbers = {name: rng.normal(0.0, 1.0, len(concept_ids) * d_mlp) for name in ("gradient", "attribution")}
    if layer == 1:
        numbers["attribution"][7] = 9.0
    rows = {
        "fit_id": np.full(len(concept_ids) * d_mlp, fit_id, np.int32),
        "layer": np.full(len(concept_ids) * d_mlp, layer, np.int32),
        "concept_id": np.repeat(np.array(concept_ids, np.int32), d_mlp),
        "neuron": np.tile(np.arange(d_mlp, dtype=np.int32), len(concept_ids)),
        **{name: values.astype(np.float32) for name, values in numbers.items()},
        **{f"{name}_std": abs(values).astype(np.float32) for name, values in numbers.items()},
    }
    found = {"_gradient": pa.table(rows)}
    if layer == 0:
        said = {"run_id": 3, "sample": 4, "texts": 2, "seed": 0}
        targets = [
            {"fit_id": fit_id, "concept_id": concept_id, "token_id": index, "whole": True, "texts": per_concept}
            for index, concept_id in enumerate(concept_ids)
        ]
        found["_gradient_fit"] = pa.Table.from_pylist([{"fit_id": fit_id, **said}])
        found["_gradient_target"] = pa.Table.from_pylist(targets)
    return found
