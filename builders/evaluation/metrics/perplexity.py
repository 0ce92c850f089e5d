"""Perplexity: exp of the mean negative log-probability of all predicted tokens of all texts."""

from __future__ import annotations

import numpy as np

from builders.evaluation.metrics.base import TEXT, Metric, Read


def _parts(read: Read) -> tuple[np.ndarray, np.ndarray]:
    return read.nll_E, read.tokens_E.astype(np.float64)


METRIC = Metric("perplexity", TEXT, "exp of the mean negative log-probability of a token", _parts, np.exp)
