"""The product `gaussians`: what is measured of every neuron under every concept. A run for each corpus, a unit for each
site and layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builders.build.product import Ask, Needs, Part, Product, Replaced, Tables, Work

if TYPE_CHECKING:
    from builders.build.plan import Plan
    from builders.config import BuildConfig

_REGISTERED = ("concept", "fit", "fit_concept", "_fit_example")
_MEASURED = ("_gaussian", "_background", "_range", "_histogram", "_expert_count")


class Gaussians(Product):
    """Fits of a corpus, one at each site, and their statistics."""

    name, needs, label = "gaussians", Needs.ACTIVATIONS, "statistics"
    no_experts = ""

    def wanted(self, config: BuildConfig) -> bool:
        """Where there are concepts."""
        return bool(config.concepts)

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """Also those of registered statistics."""
        from builders.gaussians.statistics.registry import tile_statistics

        return (*_REGISTERED, *_MEASURED, *(each.TABLE.name for each in tile_statistics()))

    def check(self, plan: Plan) -> None:
        """Raises ModelError for a site that the model does not have."""
        for site in plan.config.sites:
            plan.live.require_site(site)

    def parts(self, plan: Plan) -> list[Part]:
        """One for each corpus."""
        config = plan.config
        return [
            Part(
                reading.family,
                {
                    **vars(reading.source),
                    **config.corpus_options,
                    "family": reading.family,
                    "sites": list(config.sites),
                    "position": config.position,
                    "pool": config.pooled(),
                    "taus": list(config.taus),
                    "max_tokens": config.max_tokens,
                    "batch_tokens": config.batch_tokens,
                    "limit_per_concept": config.limit_per_concept,
                    "holdout": config.holdout,
                    "corpus_sha256": reading.corpus.sha256,
                },
                reading,
            )
            for reading in plan.readings
        ]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """FAMILY/SITE/LAYER."""
        return [f"{part.name}/{site}/{layer}" for site in plan.config.sites for layer in plan.layers]

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        """The same site and position, or an older text of the family."""
        from builders.gaussians.fits import replaced

        return replaced(plan.config, part.reading.corpus, ask)

    def register(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> Tables:
        """Rows of concept, fit, fit_concept and _fit_example."""
        from builders.gaussians.fits import fit_rows

        return fit_rows(plan, part.reading, run_id, ask)

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> dict[str, Any]:
        """{"fits": site -> fit_id, "concepts": [concept_id]}."""
        from builders.gaussians.fits import ids_of

        return ids_of(part.name, run_id, ask)

    def at_once(self, plan: Plan, part: Part) -> int:
        """Several layers at once rather than several tiles of one: no thread waits at the end of a layer.

        Where this would hold too much, or on a GPU, it is one, whose rows are written while the next is worked on.
        """
        from builders.gaussians.layer import tiles
        from builders.threads import threads_of

        config, reading, device = plan.config, part.reading, plan.live.device
        n_threads, widest = threads_of(device), max(map(plan.live.width, config.sites))
        n_values, n_concepts = sum(reading.values_of_texts), len(reading.corpus.concepts)
        most = tiles(widest, n_values, n_concepts, len(config.taus), config.bins, device)[1]
        return n_threads if n_threads <= most else 1

    def work(self, plan: Plan, part: Part, ids: dict[str, Any]) -> Work:
        """It holds nothing between units."""
        from builders.gaussians.work import Statistics

        return Statistics(plan, ids)


PRODUCT = Gaussians()
