"""What the texts of the statistics, and tokens of running text, say about every neuron of a site.

`INTERVAL` is the best interval of a class against the other classes. `AGAINST_TEXT` counts tokens of running text
among the others, so that it is also the best interval against what the model reads and writes otherwise. Both are
judged held out: coverage and leakage by cross-fitting, the leakage on running text on tokens of other texts.

Axes: E texts, B tokens of running text, C classes, L layers, N neurons of a layer. Arrays are [C, L, N].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.ranges.best_interval import by_value, folds_of, held_out_inside, inside, interval_of, shares
from benchmarks.ranges.overlap import scores_from

INTERVAL, AGAINST_TEXT = "interval", "interval against text"


@dataclass(frozen=True)
class Intervals:
    """Of one kind. `coverage`, `leakage`: held out. `text`: the share of tokens of running text inside."""

    lower: np.ndarray
    upper: np.ndarray
    coverage: np.ndarray
    leakage: np.ndarray
    text: np.ndarray

    @property
    def told(self) -> np.ndarray:
        """Held-out coverage - leakage."""
        return self.coverage - self.leakage


@dataclass(frozen=True)
class Evidence:
    """`mean`, `std`, `mean_abs`: of a class; `rest_mean`: of all others; `auc`: its distance from 1/2."""

    mean: np.ndarray
    rest_mean: np.ndarray
    std: np.ndarray
    mean_abs: np.ndarray
    auc: np.ndarray
    intervals: dict[str, Intervals]


def gathered(acts_ELN: np.ndarray, labels_E: np.ndarray, n_classes: int, text_BLN: np.ndarray) -> dict[str, np.ndarray]:
    """All arrays of an Evidence by name. Every second token of `text_BLN` judges what the others helped to find."""
    layers = [_layer(acts_ELN[:, layer], labels_E, n_classes, text_BLN[:, layer]) for layer in range(acts_ELN.shape[1])]
    return {name: np.stack([layer[name] for layer in layers], axis=1) for name in layers[0]}


def evidence_of(kept: dict[str, np.ndarray]) -> Evidence:
    """An Evidence from what `gathered` gave."""
    plain = {name: kept[name] for name in ("mean", "rest_mean", "std", "mean_abs", "auc")}
    found = {
        kind: Intervals(**{name: kept[f"{kind}/{name}"] for name in Intervals.__dataclass_fields__})
        for kind in (INTERVAL, AGAINST_TEXT)
    }
    return Evidence(**plain, intervals=found)


def _layer(acts_EN: np.ndarray, labels_E: np.ndarray, n_classes: int, text_BN: np.ndarray) -> dict[str, np.ndarray]:
    own_CE = np.arange(n_classes)[:, None] == labels_E
    scores = scores_from(acts_EN, labels_E, n_classes)
    found = {
        "mean": np.stack([acts_EN[own_E].mean(axis=0) for own_E in own_CE]),
        "rest_mean": np.stack([acts_EN[~own_E].mean(axis=0) for own_E in own_CE]),
        "std": np.stack([acts_EN[own_E].std(axis=0) for own_E in own_CE]),
        "mean_abs": scores["mean_abs"],
        "auc": scores["auc"],
    }
    texts = len(acts_EN)
    rows_N = {INTERVAL: acts_EN, AGAINST_TEXT: np.concatenate([acts_EN, text_BN[::2]])}
    for kind, rows_RN in rows_N.items():
        labels_R = np.concatenate([labels_E, np.full(len(rows_RN) - texts, n_classes)])
        fold_R, given = folds_of(labels_R), by_value(rows_RN)
        columns = []
        for c, own_E in enumerate(own_CE):
            held_out_RN = held_out_inside(rows_RN, given, labels_R == c, fold_R)
            coverage_N, leakage_N = shares(held_out_RN[:texts], own_E)
            lower_N, upper_N = interval_of(given, labels_R == c)
            text_N = inside(text_BN[1::2], lower_N, upper_N).mean(axis=0)
            columns.append((lower_N, upper_N, coverage_N, leakage_N, text_N))
        for name, values in zip(Intervals.__dataclass_fields__, zip(*columns, strict=True), strict=True):
            found[f"{kind}/{name}"] = np.stack(values)
    return {name: values.astype(np.float32) for name, values in found.items()}
