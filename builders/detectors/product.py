"""The product `detectors`: rules of few neurons that tell whether a text has a concept, and how well they do.

A run for each corpus. A unit for each site and layer notes which of its neurons a rule may be made of; then a unit for
each site and concept makes the rules, of neurons of all layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.schema.detector_tables import DETECTOR_TABLES, NOTED
from builders.build.product import Ask, Basis, Needs, Part, Product, Tables, Work

if TYPE_CHECKING:
    from builders.build.plan import Plan
    from builders.config import BuildConfig


class DetectorProduct(Product):
    """Of the fits that `gaussians` registers, on the folds of `intervals`."""

    name, needs, label = "detectors", Needs.ACTIVATIONS, "detectors"
    passing = (NOTED.name,)
    no_experts = (
        "a rule asks several neurons of every text, and a text has no value of experts that it was not routed to"
    )

    def wanted(self, config: BuildConfig) -> bool:
        """Only where they are asked for."""
        return bool(config.concepts) and config.detectors

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """The rules, their neurons, and how they were made."""
        return tuple(table.name for table in DETECTOR_TABLES)

    def parts(self, plan: Plan) -> list[Part]:
        """One for each corpus."""
        config = plan.config
        return [
            Part(
                reading.family,
                {
                    "family": reading.family,
                    "sites": list(config.sites),
                    "position": config.position,
                    "folds": config.folds,
                    "seed": config.seed,
                    "corpus_sha256": reading.corpus.sha256,
                },
                reading,
            )
            for reading in plan.readings
        ]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """FAMILY/SITE/LAYER."""
        return [f"{part.name}/{site}/{layer}" for site in plan.config.sites for layer in plan.layers]

    def last_units(self, plan: Plan, part: Part) -> list[str]:
        """FAMILY/SITE/concept/INDEX."""
        concepts = range(len(part.reading.corpus.concepts))
        return [f"{part.name}/{site}/concept/{concept}" for site in plan.config.sites for concept in concepts]

    def basis(self, plan: Plan, part: Part, ids: dict[str, Any], unit: str) -> Basis:
        """The candidates of its site and concept."""
        _, site, _, index = unit.rsplit("/", 3)
        return Basis({NOTED.name: {"fit_id": [ids["fits"][site]], "concept": [int(index)]}})

    def register(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> Tables:
        """Rows of _detector_fit."""
        import pyarrow as pa

        said = {"run_id": run_id, "folds": plan.config.folds, "seed": plan.config.seed}
        fits = self.ids(plan, part, run_id, ask)["fits"].values()
        return {"_detector_fit": pa.Table.from_pylist([{"fit_id": fit_id, **said} for fit_id in fits])}

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> dict[str, Any]:
        """{"fits": site -> fit_id, "concepts": [concept_id]}, as the Gaussians registered them."""
        from builders.intervals.product import PRODUCT as INTERVALS

        return INTERVALS.ids(plan, part, run_id, ask)

    def at_once(self, plan: Plan, part: Part) -> int:
        """As many layers as threads, where that does not hold too much."""
        from builders.intervals.tiles import layers_at_once

        return layers_at_once(plan, part)

    def work(self, plan: Plan, part: Part, ids: dict[str, Any]) -> Work:
        """It holds nothing between units."""
        from builders.detectors.work import FindDetectors

        return FindDetectors(plan, part.reading, ids)


PRODUCT = DetectorProduct()
