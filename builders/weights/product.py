"""The product `weights`: facts of weights alone. One run; small units, and one for the nearest neurons of a weight.

Where weights are decoded too, the moments of their cosines come from that pass (`builders.decoding.cosines`); else they
are units of this product.
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
        own = ("weight_run", "_neuron_fact", "_nearest", "_redundant")
        return own if config.decode else (*own, "_weight_fact")

    def require_base(self, config: BuildConfig, atlas: Atlas) -> None:
        """What is measured of logits is measured as they were decoded: UsageError for another mode."""
        mode = atlas.manifest.decoding_mode
        wanted = config.mode_beside(atlas.manifest)
        if not config.decode and mode not in (None, wanted):
            raise UsageError(f"{config.target} is decoded in mode {mode}, not {wanted}", f"Give --mode {mode}.")

    def check(self, plan: Plan) -> None:
        """Raises ModelError for the nearest neurons of experts, of which there are too many to compare all pairs."""
        if plan.live.layers_differ and plan.config.neighbours:
            raise ModelError(
                f"nearest neurons of {plan.live.model_id}, a mixture of experts, cannot be searched: every pair of "
                "neurons would be compared, and layers differ in width",
                "Leave --neighbours out.",
            )

    def parts(self, plan: Plan) -> list[Part]:
        """One."""
        from builders.weights.frequency import are_texts_a_source

        config, counted = plan.config, are_texts_a_source(plan)
        parameters = {"mode": config.mode, "neighbours": config.neighbours, "cosines": not config.decode}
        return [Part("", {**parameters, "frequency_texts": plan.running_text.sha256} if counted else parameters)]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """What random vectors reach; each layer; each weight and layer without decoding; each weight's neighbours."""
        layers = range(plan.live.n_layers)
        cosines = (
            [] if plan.config.decode else [f"cosines/{w}/{layer}" for w in plan.live.weights() for layer in layers]
        )
        nearest = [f"nearest/{weight}" for weight in NEAREST_BY] if plan.config.neighbours else []
        return ["random", *(f"facts/{layer}" for layer in layers), *cosines, *nearest]

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        """All of its rows: it measures every weight of the model, whichever are decoded."""
        return [Replaced(WEIGHT, plan.live.weights()), Replaced(NEURON, range(plan.live.n_layers))]

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> int:
        """The run, which the row of `weight_run` names."""
        return run_id

    def work(self, plan: Plan, part: Part, ids: int) -> Work:
        """Beside the model it holds a float32 copy of the unembedding."""
        from builders.weights.work import Weigher  # torch: only now

        return Weigher(plan, ids)


PRODUCT = Weights()
