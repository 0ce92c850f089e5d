"""The product `gradients`: how the logit of each concept's token depends on every neuron, on the concept's texts.

A run for each corpus. A unit for each concept takes one backward pass a batch of its texts, of all sites and layers; a
unit for each site edits neurons that were drawn, as the check that is shown beside what is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from atlas.schema.gradient_tables import GRADIENT_TABLES
from builders.build.product import Ask, Needs, Part, Product, Tables, Work

if TYPE_CHECKING:
    from builders.build.plan import Plan, Reading
    from builders.config import BuildConfig
    from builders.gradients.targets import Target


class GradientProduct(Product):
    """Of the fits that `gaussians` registers."""

    no_experts = (
        "a logit has no slope in a neuron that no token was routed to, and one more token there is no small step"
    )
    name, needs, label = "gradients", Needs.GRADIENTS, "gradients"

    def wanted(self, config: BuildConfig) -> bool:
        """Only where they are asked for."""
        return bool(config.concepts) and config.gradients

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """The gradients, their targets, and the check."""
        return tuple(table.name for table in GRADIENT_TABLES)

    def parts(self, plan: Plan) -> list[Part]:
        """One for each corpus. Raises UsageError for a target of a concept, or a token, that is not there."""
        config = plan.config
        known = {concept for reading in plan.readings for concept in reading.corpus.concepts}
        for concept, _ in config.targets:
            if concept not in known:
                raise UsageError(f"--targets names {concept[:60]!r}, and no corpus has a concept of that name")
        return [
            Part(
                reading.family,
                {
                    "family": reading.family,
                    "sites": list(config.sites),
                    "position": config.position,
                    "targets": {each.concept: each.token for each in self._targets(plan, reading)},
                    "seed": config.seed,
                    "corpus_sha256": reading.corpus.sha256,
                },
                reading,
            )
            for reading in plan.readings
        ]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """FAMILY/concept/INDEX, then FAMILY/sample/SITE."""
        concepts = range(len(part.reading.corpus.concepts))
        return [
            *(f"{part.name}/concept/{concept}" for concept in concepts),
            *(f"{part.name}/sample/{site}" for site in plan.config.sites),
        ]

    def register(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> Tables:
        """Rows of _gradient_fit and _gradient_target."""
        import pyarrow as pa

        from builders.gradients.sample import draw

        reading, ids = part.reading, self.ids(plan, part, run_id, ask)
        targets = self._targets(plan, reading)
        fits, of_concepts = [], []
        for site, fit_id in ids["fits"].items():
            neurons, texts = draw(plan.layers, plan.live.width(site), len(reading.encoded), plan.config.seed)
            drawn = {"sample": len(neurons), "texts": len(texts), "seed": plan.config.seed}
            fits.append({"fit_id": fit_id, "run_id": run_id, **drawn})
            for index, (concept_id, target) in enumerate(zip(ids["concepts"], targets, strict=True)):
                said = {"token_id": target.token_id, "whole": target.whole}
                n = reading.corpus.labels.count(index)
                of_concepts.append({"fit_id": fit_id, "concept_id": concept_id, **said, "texts": n})
        return {"_gradient_fit": pa.Table.from_pylist(fits), "_gradient_target": pa.Table.from_pylist(of_concepts)}

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> dict[str, Any]:
        """{"fits": site -> fit_id, "concepts": [concept_id]}, as the Gaussians registered them."""
        from builders.intervals.product import PRODUCT as INTERVALS

        return INTERVALS.ids(plan, part, run_id, ask)

    def work(self, plan: Plan, part: Part, ids: dict[str, Any]) -> Work:
        """It holds nothing between units."""
        from builders.gradients.work import TakeGradients

        return TakeGradients(plan, part.reading, ids, self._targets(plan, part.reading))

    def _targets(self, plan: Plan, reading: Reading) -> list[Target]:
        from builders.attribution.tokens import Tokens
        from builders.gradients.targets import targets_of

        return targets_of(Tokens(plan.live, plan.tokens), reading.corpus.concepts, dict(plan.config.targets))


PRODUCT = GradientProduct()
