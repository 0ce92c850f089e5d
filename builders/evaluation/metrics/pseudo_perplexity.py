"""Pseudo-perplexity of a masked language model (Salazar et al. 2020, arXiv 1910.14659).

exp of the mean negative log-probability of all tokens of all texts, each given the text with it alone masked.
"""

from __future__ import annotations

import numpy as np

from builders.evaluation.metrics.base import MASKED_TEXT, Metric, Read


def _parts(read: Read) -> tuple[np.ndarray, np.ndarray]:
    return read.nll_E, read.tokens_E.astype(np.float64)


_MEANING = "exp of the mean negative log-probability of a token that is masked by itself"
METRIC = Metric("pseudo_perplexity", MASKED_TEXT, _MEANING, _parts, np.exp)
