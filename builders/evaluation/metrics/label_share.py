"""Label share: the probability that all label words hold together. Where it is little, their order says little."""

from __future__ import annotations

import numpy as np

from builders.evaluation.metrics.base import CLASSIFICATION, Classified, Metric


def _parts(scored: Classified) -> tuple[np.ndarray, np.ndarray]:
    return np.exp(scored.logprob_EC).sum(axis=1), np.ones(len(scored.logprob_EC))


METRIC = Metric("label_share", CLASSIFICATION, "mean probability of all labels' first tokens, whole vocabulary", _parts)
