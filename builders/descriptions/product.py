"""The product `descriptions`: a sentence for each side and sign of chosen neurons, with a measured score.

Made of what the atlas says that it is added to. A unit is a neuron.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.schema.table import DESCRIPTION
from atlas.sites import format_neuron
from builders.build.product import Ask, Needs, Part, Product, Replaced, Work
from builders.descriptions.choice import ENDPOINT, LOCAL, chosen_neurons, parse_describer

if TYPE_CHECKING:
    from builders.build.plan import Plan
    from builders.config import BuildConfig


class DescriptionProduct(Product):
    """Of one describer a build; those of others stay."""

    name, needs, label = "descriptions", Needs.ROWS, "descriptions"
    splits = False  # it asks an endpoint at a rate that one process keeps
    no_experts = "a score clamps the neuron on short prompts, of which the router may send no token to its expert"

    def wanted(self, config: BuildConfig) -> bool:
        """Only where neurons are named."""
        return bool(config.describe)

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """The sentences."""
        return ("description",)

    def check(self, plan: Plan) -> None:
        """The neurons are in the model, its describer is there, and what an endpoint will be asked is agreed to."""
        config, neurons = plan.config, self._neurons(plan)
        describer = parse_describer(config.describer)
        if describer.kind == LOCAL:
            from atlas.live.sources import resolve

            resolve(describer.model)
        if describer.kind == ENDPOINT:
            from atlas.endpoint import Endpoint, EndpointName
            from atlas.store.reader import open_atlas
            from builders.descriptions.estimate import agree, estimate
            from builders.descriptions.evidence import Source

            endpoint = EndpointName(describer.url, describer.model)
            Endpoint(endpoint)  # its key is one
            with open_atlas(config.target) as atlas:
                found = estimate(neurons, Source(atlas), scores=config.scores)
            agree(endpoint, found, spend=config.spend)

    def parts(self, plan: Plan) -> list[Part]:
        """One."""
        config = plan.config
        said = {"describer": parse_describer(config.describer).author, "neurons": config.describe}
        return [Part("", said | {"scores": config.scores})]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """Addresses of the neurons."""
        return [format_neuron(*neuron) for neuron in self._neurons(plan)]

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        """What the same author has said of these neurons, and whatever follows from it."""
        author = part.parameters["describer"]
        return [
            Replaced(DESCRIPTION, [f"{author} {layer} {neuron}" for layer, neuron in self._neurons(plan)], whole=True)
        ]

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> dict[str, Any]:
        """The order of the neurons, and what is written already: {"order": […], "written": {address: […]}}."""
        written: dict[str, list[list[Any]]] = {}
        sql = "SELECT layer, neuron, side, sign, text FROM description WHERE author = ? ORDER BY ALL"
        for layer, neuron, *said in ask(sql, [part.parameters["describer"]]):
            written.setdefault(format_neuron(layer, neuron), []).append(said)
        order = self.units(plan, part)
        return {"order": order, "written": {each: written[each] for each in order if each in written}}

    def work(self, plan: Plan, part: Part, ids: dict[str, Any]) -> Work:
        """The atlas is opened, and whoever writes is called."""
        from builders.descriptions.work import Describe

        return Describe(plan, ids)

    def _neurons(self, plan: Plan) -> list[tuple[int, int]]:
        return chosen_neurons(plan.config.describe or "", plan.live.n_layers, plan.live.d_mlp)


PRODUCT = DescriptionProduct()
