"""What intervals need to know of the texts: their folds, their lengths, and groups of similar length.

Axes: X texts, C concepts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.stats import mannwhitneyu

from builders.build.product import Tables
from builders.intervals.folds import folds_of

if TYPE_CHECKING:
    from builders.build.plan import Reading
    from builders.config import BuildConfig

STRATA = 5
"""Groups of similar length: fifths of the texts."""


def tokens_of(reading: Reading) -> np.ndarray:
    """The length of each text's prompt in tokens, int64 [X]."""
    return np.fromiter(map(len, reading.encoded), np.int64, len(reading.encoded))


def strata_of(tokens_X: np.ndarray) -> np.ndarray:
    """Which fifth each text is in by its length, int64 [X], 0 to 4; texts of one length are together."""
    edges = np.unique(np.quantile(tokens_X, np.arange(1, STRATA) / STRATA, method="higher"))
    return np.searchsorted(edges, tokens_X, side="right")


def length_aucs(tokens_X: np.ndarray, labels_X: np.ndarray, n_concepts: int) -> np.ndarray:
    """AUC of the length alone for each concept, [C]; NaN where there is no other."""
    found = np.full(n_concepts, np.nan)
    for concept in range(n_concepts):
        own, other = tokens_X[labels_X == concept], tokens_X[labels_X != concept]
        if len(own) and len(other):
            found[concept] = mannwhitneyu(own, other, method="asymptotic").statistic / (len(own) * len(other))
    return found


def text_rows(config: BuildConfig, reading: Reading, run_id: int, fit_ids: list[int], concept_ids: list[int]) -> Tables:
    """Rows of _interval_fit, _concept_length and _fold: the same for each fit of the corpus."""
    labels_X, tokens_X = np.asarray(reading.corpus.labels), tokens_of(reading)
    n_concepts = len(concept_ids)
    mean_C = np.bincount(labels_X, tokens_X, n_concepts) / np.bincount(labels_X, minlength=n_concepts)
    auc_C = length_aucs(tokens_X, labels_X, n_concepts)
    hashes, first = np.unique(reading.text_hashes, return_index=True)  # ascending
    folds = folds_of(reading.text_hashes, labels_X, config.folds)[first]

    def for_each(values: np.ndarray, kind: pa.DataType) -> pa.Array:
        return pa.array(np.tile(values, len(fit_ids)), kind, from_pandas=True)

    def fits(rows: int) -> pa.Array:
        return pa.array(np.repeat(np.array(fit_ids), rows), pa.int32())

    said = {"run_id": run_id, "folds": config.folds, "permutations": config.permutations, "seed": config.seed}
    return {
        "_interval_fit": pa.Table.from_pylist([{"fit_id": fit_id, **said} for fit_id in fit_ids]),
        "_concept_length": pa.table(
            {
                "fit_id": fits(n_concepts),
                "concept_id": for_each(np.asarray(concept_ids), pa.int32()),
                "mean_tokens": for_each(mean_C, pa.float32()),
                "length_auc": for_each(auc_C, pa.float32()),
            }
        ),
        "_fold": pa.table(
            {
                "fit_id": fits(len(hashes)),
                "text_hash": for_each(hashes, pa.uint64()),
                "fold": for_each(folds, pa.int16()),
            }
        ),
    }
