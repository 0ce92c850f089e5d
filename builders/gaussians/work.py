"""The Gaussians of one corpus at one site and layer: activations in, rows out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builders.arrow import joined
from builders.build.product import Activations, LayerOfParts, Tables, Work
from builders.gaussians.layer import separate_and_fit
from builders.gaussians.rows import count_rows, statistics_rows
from builders.gaussians.separation import router_aucs

if TYPE_CHECKING:
    from builders.build.plan import Plan


class Statistics(Work):
    """`ids`: {"fits": site -> fit_id, "concepts": [concept_id]}."""

    def __init__(self, plan: Plan, ids: dict[str, Any]) -> None:
        self._config, self._device, self._ids = plan.config, plan.live.device, ids

    def run(self, unit: str, activations: Activations | LayerOfParts) -> Tables:
        """Raises BuildError when an activation is not finite."""
        tables = joined([self._of(part) for part in activations.parts()])
        if isinstance(activations, LayerOfParts):
            site, layer = activations.place
            concepts, fit_id = self._ids["concepts"], self._ids["fits"][site]
            auc_XC = router_aucs(activations, len(concepts))
            tables["_expert_count"] = count_rows(activations.counts, auc_XC, fit_id, layer, concepts)
        return tables

    def _of(self, activations: Activations) -> Tables:
        """Of neurons that have the same values."""
        config, (site, layer), concepts = self._config, activations.place, self._ids["concepts"]
        if activations.concepts is not None:
            concepts = [concepts[index] for index in activations.concepts]
        found = separate_and_fit(
            activations.acts_EN,
            activations.labels_E,
            len(concepts),
            config.taus,
            config.bins,
            where=f"{site} layer {layer}",
            first_neuron=activations.first_neuron,
            device=self._device,
        )
        return statistics_rows(
            found,
            fit_id=self._ids["fits"][site],
            concept_ids=concepts,
            layer=layer,
            taus=config.taus,
            first_neuron=activations.first_neuron,
            routed=activations.routed,
        )
