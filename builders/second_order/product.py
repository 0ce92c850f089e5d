"""The product `second_order`: what neurons of chosen layers do to images' vectors through later attention heads.

One run; a unit for each layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.errors import UsageError
from atlas.schema.second_order_tables import SECOND_ORDER
from atlas.schema.table import NEURON
from builders.build.product import Ask, Needs, Part, Product, Replaced, Work

if TYPE_CHECKING:
    from builders.build.plan import Plan
    from builders.config import BuildConfig


class SecondOrder(Product):
    """Of an image tower, over the images of the build."""

    name, needs, label = "second_order", Needs.RUNNING_TEXT, "effects through later heads"

    def wanted(self, config: BuildConfig) -> bool:
        """Where layers are named."""
        return bool(config.second_order)

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """Its own."""
        return (SECOND_ORDER.name,)

    def check(self, plan: Plan) -> None:
        """Raises UsageError for a layer that no attention heads come after."""
        most = plan.live.n_layers - 2
        for layer in plan.config.second_order:
            if layer > most:
                raise UsageError(
                    f"no attention heads come after layer {layer} of {plan.live.model_id}",
                    f"--second-order takes layers 0 to {most}.",
                )

    def parts(self, plan: Plan) -> list[Part]:
        """One. Raises UsageError for a single image: an effect is what differs from the mean."""
        from builders.second_order.summary import MOST_USED  # torch: only now

        images = plan.running_text
        assert images is not None
        if len(images) < 2:
            raise UsageError("--second-order compares images, and there is one", "Name a folder of more.")
        said = {"layers": list(plan.config.second_order), "most_used": MOST_USED, "top": plan.config.top}
        return [Part("", {**images.said(plan.config), **said})]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """layer/LAYER."""
        return [f"layer/{layer}" for layer in plan.config.second_order]

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        """The rows of the same layers."""
        return [Replaced(NEURON, list(plan.config.second_order))]

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> int:
        """The run, which every row names."""
        return run_id

    def work(self, plan: Plan, part: Part, ids: int) -> Work:
        """It holds nothing between units."""
        from builders.second_order.work import MeasureSecondOrder

        assert plan.running_text is not None
        return MeasureSecondOrder(plan, plan.running_text, ids)


PRODUCT = SecondOrder()
