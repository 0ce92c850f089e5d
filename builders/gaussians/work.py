"""The Gaussians of one corpus at one site and layer: activations in, rows out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builders.build.product import Activations, Tables, Work
from builders.gaussians.layer import separate_and_fit
from builders.gaussians.rows import statistics_rows

if TYPE_CHECKING:
    from builders.build.plan import Plan


class Statistics(Work):
    """`ids`: {"fits": site -> fit_id, "concepts": [concept_id]}."""

    def __init__(self, plan: Plan, ids: dict[str, Any]) -> None:
        self._config, self._device, self._ids = plan.config, plan.live.device, ids

    def run(self, unit: str, activations: Activations) -> Tables:
        """Raises BuildError when an activation is not finite."""
        config, (site, layer), concepts = self._config, activations.place, self._ids["concepts"]
        found = separate_and_fit(
            activations.acts_EN,
            activations.labels_E,
            len(concepts),
            config.taus,
            config.bins,
            where=f"{site} layer {layer}",
            device=self._device,
        )
        fit_id = self._ids["fits"][site]
        return statistics_rows(found, fit_id=fit_id, concept_ids=concepts, layer=layer, taus=config.taus)
