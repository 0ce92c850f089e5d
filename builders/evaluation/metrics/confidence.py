"""Confidence as in the NeuronLens code (arXiv 2502.06809; released code, `Conf` of main.py).

The probability, over the whole vocabulary, of the first token of the gold label.
"""

from __future__ import annotations

import numpy as np

from builders.evaluation.metrics.base import CLASSIFICATION, Classified, Metric


def _parts(scored: Classified) -> tuple[np.ndarray, np.ndarray]:
    gold_E = np.take_along_axis(scored.logprob_EC, scored.gold_E[:, None], axis=1)[:, 0]
    return np.exp(gold_E), np.ones(len(gold_E))


METRIC = Metric("confidence", CLASSIFICATION, "mean probability of the label's first token, whole vocabulary", _parts)
