"""Every evaluation metric, by name. A new one is one file in this package and one line here."""

from __future__ import annotations

import importlib

from atlas.errors import UnknownNameError
from builders.evaluation.metrics.base import Metric

METRICS = {
    "accuracy": "builders.evaluation.metrics.accuracy",
    "confidence": "builders.evaluation.metrics.confidence",
    "label_confidence": "builders.evaluation.metrics.label_confidence",
    "label_share": "builders.evaluation.metrics.label_share",
    "perplexity": "builders.evaluation.metrics.perplexity",
    "pseudo_perplexity": "builders.evaluation.metrics.pseudo_perplexity",
}


def metric(name: str) -> Metric:
    """The metric called `name`, or UnknownNameError."""
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS)
    return importlib.import_module(METRICS[name]).METRIC


def metrics_of(kind: str) -> list[Metric]:
    """All metrics of one kind (CLASSIFICATION, TEXT or MASKED_TEXT), in the order of the table."""
    return [found for found in map(metric, METRICS) if found.of == kind]
