"""The product `intervals`: the best interval of every neuron under every concept, held out and against chance.

A run for each corpus, a unit for each site and layer; it reads the activations that the Gaussians read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builders.build.product import Ask, Needs, Part, Product, Replaced, Tables, Work

if TYPE_CHECKING:
    from builders.build.plan import Plan
    from builders.config import BuildConfig

_REGISTERED = ("_interval_fit", "_concept_length", "_fold")
_FOUND = ("_interval", "_length", "_chance")


class IntervalProduct(Product):
    """Of the fits that `gaussians` registers."""

    name, needs, label = "intervals", Needs.ACTIVATIONS, "intervals"
    no_experts = ""

    def wanted(self, config: BuildConfig) -> bool:
        """Where there are concepts, unless folds are 0."""
        return bool(config.concepts) and config.folds > 0

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """What is known of texts, of neurons, and of the best of them by chance."""
        return (*_REGISTERED, *_FOUND)

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
                    "permutations": config.permutations,
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

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        """Nothing: the fits are new, and those that they replace are gone with all that is about them."""
        return []

    def register(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> Tables:
        """Rows of _interval_fit, _concept_length and _fold."""
        from builders.intervals.texts import text_rows

        ids = self.ids(plan, part, run_id, ask)
        return text_rows(plan.config, part.reading, run_id, list(ids["fits"].values()), ids["concepts"])

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> dict[str, Any]:
        """{"fits": site -> fit_id, "concepts": [concept_id]}, as the Gaussians registered them."""
        from builders.gaussians.fits import concept_ids

        config = plan.config
        fits = dict(ask("SELECT site, fit_id FROM fit WHERE family = ? AND position = ?", [part.name, config.position]))
        return {"fits": {site: fits[site] for site in config.sites}, "concepts": concept_ids(part.name, ask)}

    def at_once(self, plan: Plan, part: Part) -> int:
        """As many layers as threads, where that does not hold too much."""
        from builders.intervals.tiles import layers_at_once

        return layers_at_once(plan, part)

    def work(self, plan: Plan, part: Part, ids: dict[str, Any]) -> Work:
        """The permutations of the corpus are drawn once for all units."""
        from builders.intervals.work import FindIntervals

        return FindIntervals(plan, part.reading, ids)


PRODUCT = IntervalProduct()
