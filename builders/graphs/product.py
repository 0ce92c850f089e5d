"""The product `graphs`: what fires a neuron, as a tree of token patterns, from its exemplars and the live model.

One run; a unit is a neuron of a site. It needs rows of an atlas that has running text with its words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.errors import BuildError, UsageError
from atlas.graph import FIRES
from atlas.schema.table import TEXTS
from atlas.sites import format_neuron
from atlas.sites import site as site_of
from builders.build.product import Ask, Needs, Part, Product, Replaced, Work
from builders.graphs.chosen import chosen

if TYPE_CHECKING:
    from atlas.store.reader import Atlas
    from builders.build.plan import Plan
    from builders.config import BuildConfig

_WITHOUT = "graphs are made from exemplars and their words, and this atlas has none"
_HOW = "`neuron-atlas build --add --no-decode --no-concepts --texts FILE` (without --no-texts) makes them."


class GraphProduct(Product):
    """Graphs of other neurons stay."""

    name, needs, label = "graphs", Needs.ROWS, "graphs"
    no_experts = "tokens are replaced to see what the neuron does then, and another token may be routed elsewhere"

    def wanted(self, config: BuildConfig) -> bool:
        """Of the neurons that are named."""
        return bool(config.graphs)

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """One."""
        return ("_graph",)

    def require_base(self, config: BuildConfig, atlas: Atlas) -> None:
        """Raises UsageError for an atlas without words of running text, or not read at these sites and layers."""
        if "_text_set" in atlas.lacking.tables or not atlas.query("SELECT 1 FROM _text_set WHERE words")[1]:
            raise UsageError(_WITHOUT, _HOW)
        manifest = atlas.manifest
        _, read = atlas.query("SELECT DISTINCT site, layer FROM _firing")
        for site in config.sites:
            for layer in {layer for layer, _ in _chosen(config, site, manifest)}:
                if (site, layer) not in read:
                    raise UsageError(
                        f"the running text of {config.target} was not read at {site} of layer {layer}", "Read it anew."
                    )

    def check(self, plan: Plan) -> None:
        """Raises ModelError for a site that the model does not have, UsageError for a neuron."""
        for site in plan.config.sites:
            plan.live.tap(site, 0)
        self.units(plan, self.parts(plan)[0])

    def parts(self, plan: Plan) -> list[Part]:
        """One."""
        from builders.graphs.patterns import KEPT, MATTERS, REPLACEMENTS, SUBSTITUTES

        config = plan.config
        said = {"graphs": list(config.graphs), "sites": list(config.sites), "seed": config.seed}
        said |= {"fires": FIRES, "kept": KEPT, "matters": MATTERS}
        return [Part("", said | {"replacements": REPLACEMENTS, "substitutes": SUBSTITUTES})]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """SITE/L29N808."""
        return [
            f"{site}/{format_neuron(layer, neuron)}"
            for site in plan.config.sites
            for layer, neuron in _chosen(plan.config, site, plan.live)
        ]

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        """The graphs of the same neurons."""
        return [Replaced(TEXTS, self.units(plan, part))]

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> dict[str, Any]:
        """{"run_id", "first_token", "exemplars": unit -> lists, "texts": id -> tokens} of the chosen neurons."""
        read = ask("SELECT first_token FROM _text_set WHERE words")
        if not read:
            raise BuildError(_WITHOUT, _HOW)
        units = self.units(plan, part)
        rows = ask(
            "SELECT site || '/L' || layer || 'N' || neuron AS unit, kind, text_id, position, value FROM _exemplar "
            "WHERE unit IN (SELECT unnest(?::VARCHAR[])) AND kind <= 6 ORDER BY ALL",
            [units],
        )
        exemplars: dict[str, list[list[Any]]] = {}
        for unit, *found in rows:
            exemplars.setdefault(unit, []).append(found)
        wanted = sorted({text_id for row in rows for text_id in row[2]})
        texts = dict(ask("SELECT text_id, tokens FROM _text WHERE text_id IN (SELECT unnest(?::INTEGER[]))", [wanted]))
        return {"run_id": run_id, "first_token": read[0][0], "exemplars": exemplars, "texts": texts}

    def work(self, plan: Plan, part: Part, ids: Any) -> Work:
        """It holds the texts of the chosen neurons' exemplars."""
        from builders.graphs.work import MakeGraphs

        return MakeGraphs(plan, ids)


def _chosen(config: BuildConfig, site: str, dims: Any) -> list[tuple[int, int]]:
    """`dims`: the model, or the manifest of one."""
    return chosen(config.graphs, dims.n_layers, getattr(dims, site_of(site).width))


PRODUCT = GraphProduct()
