"""The product `embeddings`: a unit vector of each description of the atlas, for search by meaning.

All of them anew, by one embedder: vectors of two cannot be compared. A unit is a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.schema.table import DESCRIPTION
from builders.build.product import Ask, Needs, Part, Product, Replaced, Work
from builders.embeddings.embedder import name_of

if TYPE_CHECKING:
    from builders.build.plan import Plan
    from builders.config import BuildConfig


class EmbeddingProduct(Product):
    """Of descriptions by all authors, those of the same build too."""

    name, needs, label = "embeddings", Needs.ROWS, "embeddings"
    splits = False  # it asks an endpoint at a rate that one process keeps

    def wanted(self, config: BuildConfig) -> bool:
        """Only where an embedder is named."""
        return bool(config.embed)

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """The vectors."""
        return ("_embedding",)

    def check(self, plan: Plan) -> None:
        """There is something to embed, or will be, and what an endpoint will be asked is agreed to."""
        from builders.embeddings.agreement import agreed

        agreed(plan.config)

    def parts(self, plan: Plan) -> list[Part]:
        """One."""
        return [Part("", {"embedder": name_of(str(plan.config.embed))})]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """Layers."""
        return [f"L{layer}" for layer in range(plan.live.n_layers)]

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        """Whatever was embedded before."""
        rows = ask("SELECT DISTINCT author || ' ' || layer || ' ' || neuron FROM _embedding")
        return [Replaced(DESCRIPTION, [key for (key,) in rows])]

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> dict[str, list[list[Any]]]:
        """What is to be embedded: layer -> [[neuron, side, sign, author, text]]."""
        found: dict[str, list[list[Any]]] = {}
        for layer, *said in ask("SELECT layer, neuron, side, sign, author, text FROM description ORDER BY ALL"):
            found.setdefault(f"L{layer}", []).append(said)
        return found

    def work(self, plan: Plan, part: Part, ids: dict[str, list[list[Any]]]) -> Work:
        """The embedder is called."""
        from builders.embeddings.work import EmbedDescriptions

        return EmbedDescriptions(plan.config, ids)


PRODUCT = EmbeddingProduct()
