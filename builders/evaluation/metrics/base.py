"""What a metric is: for each example a share of a numerator and of a denominator, and what to make of their sums.

Every metric is a function of two sums over examples. So a bootstrap resample is a weighting of the examples,
and a thousand of them are one matrix product (builders/evaluation/bootstrap.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CLASSIFICATION, TEXT, MASKED_TEXT = "classification", "text", "masked text"


@dataclass(frozen=True)
class Classified:
    """How a model scored E texts. Axes: E examples, C concepts."""

    logprob_EC: np.ndarray
    """Log-probability, over the whole vocabulary, of the first token of each concept's label word; float64."""
    gold_E: np.ndarray
    """The concept that each text has, int64."""


@dataclass(frozen=True)
class Read:
    """How well a model predicted E texts."""

    nll_E: np.ndarray
    """Summed negative log-probability (nats) of the predicted tokens, float64."""
    tokens_E: np.ndarray
    """How many tokens were predicted, int64."""


def as_it_is(ratio: np.ndarray) -> np.ndarray:
    """The value of a metric that is a plain mean."""
    return ratio


@dataclass(frozen=True)
class Metric:
    """value = finish(sum of numerators / sum of denominators); `parts` gives both, float64 [E]."""

    name: str
    of: str
    """CLASSIFICATION (parts of a Classified), TEXT or MASKED_TEXT (parts of a Read)."""
    meaning: str
    parts: Callable[..., tuple[np.ndarray, np.ndarray]]
    finish: Callable[[np.ndarray], np.ndarray] = as_it_is
