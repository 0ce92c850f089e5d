"""Which share of the salient neurons do k classes have in common?

For every set of k classes: the neurons salient for all of them, as a share of the neurons salient for one. Were the
classes to choose independently of each other, that would be p^(k - 1) where p is the share that is salient.

Axes: C classes, N neurons.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from atlas.store.reader import Atlas
from benchmarks.ranges.masking import Setting
from builders.gaussians.separation import twice_u

RULES = ("mean_abs", "auc")
SHARES = (0.1, 0.3, 0.5)


def scores_of(atlas: Atlas, setting: Setting) -> dict[str, np.ndarray]:
    """rule -> how salient each neuron of the setting is for each class, [C, N]; larger is more."""
    _, rows = atlas.query(
        "SELECT mean_abs, abs(auc - 0.5) FROM concept_gaussian "
        "WHERE site = $site AND layer BETWEEN $first AND $last ORDER BY concept_id, layer, neuron",
        {"site": setting.site, "first": setting.layers[0], "last": setting.layers[-1]},
    )
    n_concepts = atlas.query("SELECT count(*) FROM concept")[1][0][0]
    columns = np.array(rows, dtype=np.float64).T.reshape(2, n_concepts, -1)
    return dict(zip(RULES, columns, strict=True))


def scores_from(acts_EN: np.ndarray, labels_E: np.ndarray, n_concepts: int) -> dict[str, np.ndarray]:
    """The same from activations of other texts."""
    counts_C = np.bincount(labels_E, minlength=n_concepts)[:, None]
    mean_abs = np.stack([np.abs(acts_EN[labels_E == c]).mean(axis=0, dtype=np.float64) for c in range(n_concepts)])
    auc = twice_u(acts_EN, labels_E, n_concepts) / (2.0 * counts_C * (len(labels_E) - counts_C))
    return {"mean_abs": mean_abs, "auc": np.abs(auc - 0.5)}


def salient(scores_CN: np.ndarray, share: float) -> np.ndarray:
    """bool [C, N]: the `share` of each class's neurons with the largest scores (ties: the lower index)."""
    count = max(1, round(share * scores_CN.shape[1]))
    chosen = np.zeros(scores_CN.shape, dtype=bool)
    np.put_along_axis(chosen, np.argsort(-scores_CN, axis=1, kind="stable")[:, :count], True, axis=1)
    return chosen


def common(chosen_CN: np.ndarray, k: int) -> tuple[float, float, float]:
    """Mean, least and largest share, over all sets of k classes, of neurons that the k have in common."""
    count = chosen_CN[0].sum()
    shares = [chosen_CN[list(classes)].all(axis=0).sum() / count for classes in combinations(range(len(chosen_CN)), k)]
    return float(np.mean(shares)), float(min(shares)), float(max(shares))


def agreement(chosen_CN: np.ndarray, other_CN: np.ndarray) -> float:
    """Share of each class's neurons that are also chosen in `other_CN`, mean over the classes."""
    return float(((chosen_CN & other_CN).sum(axis=1) / chosen_CN.sum(axis=1)).mean())
