"""Confidence among the labels: the gold label's share of the probability that all label words have together."""

from __future__ import annotations

import numpy as np

from builders.evaluation.metrics.base import CLASSIFICATION, Classified, Metric


def _parts(scored: Classified) -> tuple[np.ndarray, np.ndarray]:
    total_E = np.logaddexp.reduce(scored.logprob_EC, axis=1)
    gold_E = np.take_along_axis(scored.logprob_EC, scored.gold_E[:, None], axis=1)[:, 0]
    return np.exp(gold_E - total_E), np.ones(len(gold_E))


METRIC = Metric("label_confidence", CLASSIFICATION, "mean probability of the label among all labels", _parts)
