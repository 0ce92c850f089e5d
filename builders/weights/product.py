"""The product `weights`: facts of weights alone. One run; small units, and one for the nearest neurons of a weight.

Where weights are decoded too, the moments of their cosines come from that pass (`builders.decoding.cosines`); else they
are units of this product. What compares the neurons of all layers, nearest neurons and redundant groups, is made where
the build is of all layers; a build of some leaves what an atlas has of them as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.errors import ModelError, UsageError
from atlas.schema.table import NEURON, WEIGHT
from builders.build.product import Ask, Needs, Part, Product, Replaced

if TYPE_CHECKING:
    from atlas.store.reader import Atlas
    from builders.build.plan import Plan
    from builders.build.product import Work
    from builders.config import BuildConfig

NEAREST_BY = ("up_proj", "down_proj")
"""What a neuron reads and what it writes: the weights that every model has."""


class Weights(Product):
    """Rows of `_neuron_fact`, `_nearest`, `_redundant` and `weight_run`, and of `_weight_fact` without decoding."""

    name, needs, label = "weights", Needs.WEIGHTS, "facts of the weights"
    no_experts = ""

    def wanted(self, config: BuildConfig) -> bool:
        """With decoding, unless it is switched off; alone if it is asked for."""
        return config.weighs

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """The moments only if decoding does not make them."""
        compared = ("_nearest", "_redundant") if config.layers is None else ()
        own = ("weight_run", "_neuron_fact", *compared)
        return own if config.decode else (*own, "_weight_fact")

    def require_base(self, config: BuildConfig, atlas: Atlas) -> None:
        """What is measured of logits is measured as they were decoded: UsageError for another mode."""
        mode = atlas.manifest.decoding_mode
        wanted = config.mode_beside(atlas.manifest)
        if not config.decode and mode not in (None, wanted):
            raise UsageError(f"{config.target} is decoded in mode {mode}, not {wanted}", f"Give --mode {mode}.")
        if config.layers is not None:
            self._require_alike(config, atlas, wanted)

    def _require_alike(self, config: BuildConfig, atlas: Atlas, mode: str) -> None:
        """Facts of some layers stand beside those of the others, so they must be measured with the same things."""
        sql = "SELECT count(*) FROM _neuron_fact WHERE layer NOT IN (SELECT unnest(?))"
        if "_neuron_fact" in atlas.lacking.tables or not atlas.query(sql, [list(config.layers or ())])[1][0][0]:
            return
        last = "SELECT mode, frequency_source = 'texts' FROM weight_run ORDER BY run_id DESC LIMIT 1"
        [(known, by_texts)] = atlas.query(last)[1]
        if known != mode or by_texts or (config.texts and config.words):
            how = "with the frequency of tokens in running text" if known == mode else f"in mode {known}"
            raise UsageError(
                f"{config.target} has facts of the weights of other layers, and one of the two would be measured {how}",
                "Add --no-weight-facts, or measure all layers anew: leave --layers out.",
            )

    def check(self, plan: Plan) -> None:
        """Raises ModelError for the nearest neurons of experts, of which there are too many to compare all pairs."""
        if plan.live.layers_differ and self._compares(plan):
            raise ModelError(
                f"nearest neurons of {plan.live.model_id}, a mixture of experts, cannot be searched: every pair of "
                "neurons would be compared, and layers differ in width",
                "Leave --neighbours out.",
            )

    def parts(self, plan: Plan) -> list[Part]:
        """One."""
        from builders.weights.frequency import are_texts_a_source

        config, counted = plan.config, are_texts_a_source(plan)
        neighbours = config.neighbours if self._compares(plan) else 0
        parameters = {"mode": config.mode, "neighbours": neighbours, "cosines": not config.decode, **plan.of_layers}
        return [Part("", {**parameters, "frequency_texts": plan.running_text.sha256} if counted else parameters)]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """What random vectors reach; each layer; each weight and layer without decoding; each weight's neighbours."""
        cosines = (
            [] if plan.config.decode else [f"cosines/{w}/{layer}" for w in plan.live.weights() for layer in plan.layers]
        )
        nearest = [f"nearest/{weight}" for weight in NEAREST_BY] if self._compares(plan) else []
        return ["random", *(f"facts/{layer}" for layer in plan.layers), *cosines, *nearest]

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        """All of its rows about the layers: it measures every weight of the model, whichever are decoded."""
        return [Replaced(WEIGHT, plan.live.weights(), layers=plan.layers), Replaced(NEURON, plan.layers)]

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> list[int]:
        """The run, and how many nearest neurons each has: what the row of `weight_run` says."""
        if plan.config.layers is None:
            return [run_id, plan.config.neighbours]
        there = ask("SELECT neighbours FROM weight_run WHERE run_id < ? ORDER BY run_id DESC LIMIT 1", [run_id])
        return [run_id, there[0][0] if there else 0]

    def at_once(self, plan: Plan, part: Part) -> int:
        """Two units, where the vectors of all layers are small beside the memory that the options allow."""
        from builders.weights.work import at_once  # torch: only now

        return at_once(plan)

    def work(self, plan: Plan, part: Part, ids: list[int]) -> Work:
        """Beside the model it holds a float32 copy of the unembedding."""
        from builders.weights.work import Weigher  # torch: only now

        return Weigher(plan, *ids)

    def _compares(self, plan: Plan) -> bool:
        """Whether neurons are compared with those of all layers."""
        return plan.config.layers is None and plan.config.neighbours > 0


PRODUCT = Weights()
