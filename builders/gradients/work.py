"""The gradients of one corpus: the texts of a concept at a time, then the drawn neurons that are edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from atlas.errors import ModelError
from atlas.live.batching import Batch
from atlas.live.logits import LogitTarget
from atlas.schema.gradient_tables import EDITS, RULES
from builders.build.product import Tables, Work
from builders.gradients.pooled import Pooled, pooled_gradients
from builders.gradients.sample import Edited, agreement, draw, edit_text
from builders.gradients.targets import Target

if TYPE_CHECKING:
    from builders.build.plan import Plan, Reading

_CHECKS = pa.schema(
    {
        "fit_id": pa.int32(),
        "rule": pa.string(),
        "edit": pa.string(),
        "n": pa.int32(),
        "pearson": pa.float64(),
        "spearman": pa.float64(),
    }.items()
)


class TakeGradients(Work):
    """`ids`: {"fits": site -> fit_id, "concepts": [concept_id]}."""

    def __init__(self, plan: Plan, reading: Reading, ids: dict[str, Any], targets: Sequence[Target]) -> None:
        self._plan, self._config, self._live = plan, plan.config, plan.live
        self._reading, self._ids, self._targets = reading, ids, targets

    def run(self, unit: str, activations: None = None) -> Tables:
        """FAMILY/concept/INDEX, or FAMILY/sample/SITE. Raises ModelError for gradients that are no numbers."""
        _, kind, name = unit.rsplit("/", 2)
        return self._of_concept(int(name)) if kind == "concept" else self._of_sample(name)

    def notes(self) -> list[str]:
        """Which tokens stand for concepts whose names have several."""
        parts = [f"{each.concept} ({each.token!r})" for each in self._targets if not each.whole]
        if not parts:
            return []
        return [
            f"gradients of {self._reading.family} are of the first token of names that have several: "
            f"{', '.join(parts)}; --targets names others"
        ]

    def _of_concept(self, concept: int) -> Tables:
        reading, live, layers = self._reading, self._live, self._plan.layers
        texts = [index for index, label in enumerate(reading.corpus.labels) if label == concept]
        counted = None if reading.counted is None else [reading.counted[index] for index in texts]
        sums: dict[tuple[str, int], torch.Tensor] = {}

        def add(site: str, layer: int, batch: Batch, pooled: Pooled) -> None:
            values = torch.stack([pooled.gradient_BN, pooled.attribution_BN])
            both = torch.stack([values.sum(1), values.square().sum(1)])
            sums[site, layer] = sums[site, layer] + both if (site, layer) in sums else both

        pooled_gradients(
            live,
            [reading.encoded[index] for index in texts],
            counted,
            self._config.sites,
            layers,
            LogitTarget(self._targets[concept].token_id),
            add,
        )
        rows = [self._rows(site, layer, concept, sums[site, layer], len(texts)) for site, layer in sorted(sums)]
        return {"_gradient": pa.concat_tables(rows)}

    def _rows(self, site: str, layer: int, concept: int, sums: torch.Tensor, n: int) -> pa.Table:
        mean, mean_square = (sums / n).numpy()
        std = np.sqrt(np.maximum(mean_square - mean**2, 0.0))
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            raise ModelError(
                f"{self._live.model_id} gives gradients that are no finite numbers", "Try --dtype float32."
            )
        width = mean.shape[1]
        return pa.table(
            {
                "fit_id": np.full(width, self._ids["fits"][site], np.int32),
                "layer": np.full(width, layer, np.int32),
                "concept_id": np.full(width, self._ids["concepts"][concept], np.int32),
                "neuron": np.arange(width, dtype=np.int32),
                "gradient": mean[0].astype(np.float32),
                "gradient_std": std[0].astype(np.float32),
                "attribution": mean[1].astype(np.float32),
                "attribution_std": std[1].astype(np.float32),
            }
        )

    def _of_sample(self, site: str) -> Tables:
        reading, live, config = self._reading, self._live, self._config
        neurons, texts = draw(self._plan.layers, live.width(site), len(reading.encoded), config.seed)
        labels = reading.corpus.labels
        edited = [
            edit_text(live, reading, text, LogitTarget(self._targets[labels[text]].token_id), site, neurons)
            for text in texts
        ]
        fit_id = self._ids["fits"][site]
        sample = [
            {
                "fit_id": fit_id,
                "place": place,
                "concept_id": self._ids["concepts"][labels[each.text]],
                "layer": layer,
                "neuron": neuron,
                **_numbers(each, index),
            }
            for place, each in enumerate(edited, start=1)
            for index, (layer, neuron) in enumerate(neurons)
        ]
        checks = []
        for rule in RULES:
            for edit in EDITS:
                n, pearson, spearman = agreement(edited, rule, edit)
                checks.append(
                    {"fit_id": fit_id, "rule": rule, "edit": edit, "n": n, "pearson": pearson, "spearman": spearman}
                )
        hashes = np.repeat(reading.text_hashes[texts], len(neurons))
        return {
            "_gradient_sample": pa.Table.from_pylist(sample).append_column("text_hash", pa.array(hashes)),
            "_gradient_check": pa.Table.from_pylist(checks, _CHECKS),
        }


def _numbers(edited: Edited, index: int) -> dict[str, float]:
    (slope_S, share_S), (relp_S, relp_share_S) = (edited.by_rule[rule] for rule in RULES)
    return {
        "activation": float(edited.acts_S[index]),
        "gradient": float(slope_S[index]),
        "gradient_attribution": float(share_S[index]),
        "relp": float(relp_S[index]),
        "relp_attribution": float(relp_share_S[index]),
        **{edit: float(changes_S[index]) for edit, changes_S in edited.changes.items()},
    }
