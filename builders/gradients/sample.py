"""The check of gradients: neurons drawn at random are edited on texts drawn at random, and the change is measured.

Axes: S drawn neurons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr

from atlas.live.batching import Batch
from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel
from atlas.schema.gradient_tables import EDITS, RULES
from builders.attribution.edits import Neuron, spec_of
from builders.attribution.effects import Effects
from builders.gradients.pooled import Pooled, pooled_gradients

if TYPE_CHECKING:
    from builders.build.plan import Reading

NEURONS, TEXTS = 100, 5


@dataclass(frozen=True)
class Edited:
    """One text: the drawn neurons by rule, and what each edit of each of them changed.

    `acts_S`, and of each rule of RULES (gradient_S, attribution_S): as Pooled. `changes`: edit -> [S].
    """

    text: int
    acts_S: np.ndarray
    by_rule: dict[str, tuple[np.ndarray, np.ndarray]]
    changes: dict[str, np.ndarray]

    def computed(self, rule: str, edit: str) -> np.ndarray:
        """[S]: the change that a rule gives to first order: the slope times the shift of the activation."""
        slope_S, attribution_S = self.by_rule[rule]
        op, value = EDITS[edit]
        return value * slope_S - (attribution_S if op == "set" else 0.0)


def draw(layers: Sequence[int], width: int, n_texts: int, seed: int) -> tuple[list[Neuron], list[int]]:
    """(neurons, texts), each drawn once, ascending; fewer where there are fewer."""
    generator = np.random.default_rng(seed)
    total = len(layers) * width
    places = np.sort(generator.choice(total, min(NEURONS, total), replace=False)).tolist()
    texts = np.sort(generator.choice(n_texts, min(TEXTS, n_texts), replace=False)).tolist()
    return [(layers[place // width], place % width) for place in places], texts


def edit_text(
    live: LiveModel, reading: Reading, text: int, target: LogitTarget, site: str, neurons: Sequence[Neuron]
) -> Edited:
    """One drawn text under every edit of every drawn neuron. Raises as `differentiate`, `relevance` and `intervene`."""
    ids = reading.encoded[text]
    counted = None if reading.counted is None else [reading.counted[text]]
    read = {rule: _read(live, ids, counted, target, site, neurons, relp=rule == "relp") for rule in RULES}
    positions = "last" if counted is None else tuple(np.flatnonzero(counted[0]).tolist())
    effects = Effects(live, ids, only_last=counted is None)
    specs = [
        spec_of(live, [each], op=op, value=value, site=site, positions=positions)
        for op, value in EDITS.values()
        for each in neurons
    ]
    changed = np.array(effects.changes(specs, target)).reshape(len(EDITS), len(neurons))
    changes = dict(zip(EDITS, changed, strict=True))
    by_rule = {rule: (slope_S, attribution_S) for rule, (_, slope_S, attribution_S) in read.items()}
    return Edited(text, read[RULES[0]][0], by_rule, changes)


def agreement(edited: Sequence[Edited], rule: str, edit: str) -> tuple[int, float | None, float | None]:
    """(n, Pearson, Spearman) of the computed and the measured changes of all neurons and texts; None: not defined."""
    computed = np.concatenate([each.computed(rule, edit) for each in edited])
    measured = np.concatenate([each.changes[edit] for each in edited])
    if len(computed) < 2 or np.ptp(computed) == 0 or np.ptp(measured) == 0:
        return len(computed), None, None
    found = (float(test(computed, measured).statistic) for test in (pearsonr, spearmanr))
    pearson, spearman = (None if np.isnan(value) else value for value in found)
    return len(computed), pearson, spearman


def _read(
    live: LiveModel,
    ids: Sequence[int],
    counted: list[list[bool]] | None,
    target: LogitTarget,
    site: str,
    neurons: Sequence[Neuron],
    *,
    relp: bool,
) -> tuple[np.ndarray, ...]:
    """Activation, slope and attribution of the neurons [S] in one text."""
    found: dict[int, Pooled] = {}

    def keep(site: str, layer: int, batch: Batch, pooled: Pooled) -> None:
        found[layer] = pooled

    layers = sorted({layer for layer, _ in neurons})
    pooled_gradients(live, [ids], counted, [site], layers, target, keep, relp=relp)
    return tuple(
        torch.stack([found[layer][part][0, neuron] for layer, neuron in neurons]).numpy()
        for part in range(len(Pooled._fields))
    )
