"""From per-text outcomes of several arms to scores with intervals; the first arm is the baseline."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from builders.evaluation.bootstrap import interval, resampled_sums
from builders.evaluation.metrics.base import Classified, Metric, Read
from builders.evaluation.metrics.registry import metrics_of
from builders.evaluation.report import Score


@dataclass(frozen=True)
class Group:
    """Texts that are judged together, with one outcome per arm. `kind`: CLASSIFICATION, TEXT or MASKED_TEXT."""

    name: str
    kind: str
    outcomes: Sequence[Classified] | Sequence[Read]


def compare(arms: Sequence[str], groups: Sequence[Group], bootstrap: int, seed: int) -> list[Score]:
    """Every metric of every arm on every group that has texts, arm by arm.

    All arms and metrics of a group use the same `bootstrap` resamples, so drops are paired.
    """
    found = [scores for group in groups for scores in _of_group(arms, group, bootstrap, seed)]
    return sorted(found, key=lambda score: arms.index(score.arm))


def _of_group(arms: Sequence[str], group: Group, bootstrap: int, seed: int) -> list[Score]:
    metrics = metrics_of(group.kind)
    parts_EK = np.stack(
        [part for outcome in group.outcomes for metric in metrics for part in metric.parts(outcome)], axis=1
    )
    n = len(parts_EK)
    if n == 0:
        return []
    # A seed per group: resamples of groups of equal size are independent.
    sums_RK = resampled_sums(parts_EK, bootstrap, seed ^ zlib.crc32(group.name.encode()))
    values_RAM = _finished(sums_RK.reshape(len(sums_RK), len(arms), len(metrics), 2), metrics)
    scores = []
    for a, arm in enumerate(arms):
        for m, metric in enumerate(metrics):
            drop = interval(values_RAM[:, 0, m] - values_RAM[:, a, m]) if a else None
            scores.append(Score(arm, metric.name, group.name, interval(values_RAM[:, a, m]), drop, n))
    return scores


def _finished(sums_RAMP: np.ndarray, metrics: Sequence[Metric]) -> np.ndarray:
    ratio_RAM = sums_RAMP[..., 0] / sums_RAMP[..., 1]
    return np.stack([metric.finish(ratio_RAM[..., m]) for m, metric in enumerate(metrics)], axis=-1)
