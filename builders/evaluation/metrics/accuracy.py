"""Accuracy: the gold label word is the most probable of all label words."""

from __future__ import annotations

import numpy as np

from builders.evaluation.metrics.base import CLASSIFICATION, Classified, Metric


def _parts(scored: Classified) -> tuple[np.ndarray, np.ndarray]:
    hits_E = scored.logprob_EC.argmax(axis=1) == scored.gold_E
    return hits_E.astype(np.float64), np.ones(len(hits_E))


METRIC = Metric("accuracy", CLASSIFICATION, "share of texts whose own label word scores best", _parts)
