"""Rows of intervals and of chance for a synthetic atlas: as many and as wide as a build's, and kept to its promises.

An interval here is all above the median of the concept, or all below it where the concept is low, so that counting is
one comparison; to find the best one would take a build's time. Axes: E examples, C concepts, N neurons.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

FOLDS, PERMUTATIONS, SEED = 5, 200, 0


def general_rows(n_concepts: int, n_examples: int, run_id: int) -> dict[str, pa.Table]:
    """Rows of _interval_fit, _concept_length and _fold of fit 0."""
    rng = np.random.default_rng([n_examples, 9])
    said = {"fit_id": 0, "run_id": run_id, "folds": FOLDS, "permutations": PERMUTATIONS, "seed": SEED}
    return {
        "_interval_fit": pa.Table.from_pylist([said]),
        "_concept_length": pa.table(
            {
                "fit_id": np.zeros(n_concepts, np.int32),
                "concept_id": np.arange(n_concepts, dtype=np.int32),
                "mean_tokens": rng.uniform(10, 30, n_concepts).astype(np.float32),
                "length_auc": rng.uniform(0.3, 0.7, n_concepts).astype(np.float32),
            }
        ),
        "_fold": pa.table(
            {
                "fit_id": np.zeros(n_examples, np.int32),
                "text_hash": np.unique(rng.integers(0, 1 << 63, 2 * n_examples))[:n_examples].astype(np.uint64),
                "fold": (np.arange(n_examples) % FOLDS).astype(np.int16),
            }
        ),
    }


def layer_rows(acts_EN: np.ndarray, labels_E: np.ndarray, n_concepts: int, layer: int) -> dict[str, pa.Table]:
    """Rows of _interval, _length and _chance of fit 0."""
    width = acts_EN.shape[1]
    rng = np.random.default_rng([width, 10, layer])
    of_concepts = [_interval(acts_EN, labels_E, concept, n_concepts, rng) for concept in range(n_concepts)]
    place = {
        "fit_id": np.zeros(n_concepts * width, np.int32),
        "layer": np.full(n_concepts * width, layer, np.int32),
        "concept_id": np.repeat(np.arange(n_concepts, dtype=np.int32), width),
        "neuron": np.tile(np.arange(width, dtype=np.int32), n_concepts),
    }
    interval = place | {name: np.concatenate([each[name] for each in of_concepts]) for name in of_concepts[0]}
    length = {
        "fit_id": np.zeros(width, np.int32),
        "layer": np.full(width, layer, np.int32),
        "neuron": np.arange(width, dtype=np.int32),
        "length_correlation": rng.uniform(-0.3, 0.3, width).astype(np.float32),
    }
    nulls = [
        pa.array(list(rng.uniform(low, high, (n_concepts, PERMUTATIONS)).astype(np.float32)))
        for low, high in ((0.6, 0.7), (0.2, 0.4))
    ]
    chance = {
        "fit_id": np.zeros(n_concepts, np.int32),
        "layer": np.full(n_concepts, layer, np.int32),
        "concept_id": np.arange(n_concepts, dtype=np.int32),
        "auc": np.array([each["ap"].max() for each in of_concepts], np.float32).clip(0.5, 1.0),
        "interval": rng.uniform(0.3, 0.9, n_concepts).astype(np.float32),
        "null_auc": nulls[0],
        "null_interval": nulls[1],
    }
    return {"_interval": pa.table(interval), "_length": pa.table(length), "_chance": pa.table(chance)}


def _interval(
    acts_EN: np.ndarray, labels_E: np.ndarray, concept: int, n_concepts: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The columns of one concept, a value a neuron."""
    width = acts_EN.shape[1]
    own = labels_E == concept
    middle_N = np.median(acts_EN[own], axis=0).astype(np.float32)
    high_N = middle_N >= np.median(acts_EN, axis=0)
    inside_EN = np.where(high_N, acts_EN >= middle_N, acts_EN <= middle_N)
    inside_CN = np.stack([inside_EN[labels_E == each].sum(axis=0) for each in range(n_concepts)]).astype(np.int32)
    others_CN = inside_CN.copy()
    others_CN[concept] = -1
    found_N, others_N = inside_CN[concept], inside_CN.sum(axis=0) - inside_CN[concept]
    coverage_N, leakage_N = found_N / own.sum(), others_N / (~own).sum()
    precision_N = (found_N / (found_N + others_N)).astype(np.float32)
    return {
        "interval_lower": np.where(high_N, middle_N, -np.inf).astype(np.float32),
        "interval_upper": np.where(high_N, np.inf, middle_N).astype(np.float32),
        "interval_inside": found_N,
        "interval_others": others_N.astype(np.int32),
        "held_inside": found_N,
        "held_others": others_N.astype(np.int32),
        "held_worst_concept_id": others_CN.argmax(axis=0).astype(np.int32),
        "held_worst_inside": others_CN.max(axis=0).astype(np.int32),
        "ap": np.where(high_N, precision_N, np.float32(0.1)),
        "ap_low": np.where(high_N, np.float32(0.1), precision_N),
        "best_f1": precision_N,
        "point_biserial": rng.uniform(-0.5, 0.5, width).astype(np.float32),
        "stratified_auc": (0.5 + (coverage_N - leakage_N) / 2).astype(np.float32),
        "p": rng.uniform(0.0, 1.0, width).astype(np.float32) ** 2,
    }
