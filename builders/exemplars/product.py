"""The product `exemplars`: where in running text each neuron is largest and smallest, and how it is over all tokens.

One run. A unit is a shard of texts, read at all places in one forward pass; it notes what may come into the lists of a
neuron, and sums. The last units put the shards of a place together, and store the texts that are left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.manifest import Manifest
from atlas.schema.exemplar_tables import (
    EXEMPLAR_TABLES,
    NOTED,
    NOTED_COMPARED,
    NOTED_EXEMPLARS,
    NOTED_FIRING,
    NOTED_TEXTS,
)
from atlas.schema.table import TEXTS
from atlas.schema.tables import about
from builders.build.product import Ask, Basis, Needs, Part, Product, Tables, Work, place_of

if TYPE_CHECKING:
    from builders.build.plan import Plan
    from builders.config import BuildConfig


class ExemplarProduct(Product):
    """An atlas has one running text: made anew, all of it is."""

    name, needs, label = "exemplars", Needs.RUNNING_TEXT, "exemplars"
    passing = tuple(table.name for table in NOTED)
    no_experts = ""

    def wanted(self, config: BuildConfig) -> bool:
        """Where there are texts, or images."""
        return bool(config.texts or config.images)

    def tables(self, config: BuildConfig) -> tuple[str, ...]:
        """All about running text."""
        return tuple(table.name for table in EXEMPLAR_TABLES)

    def left_out(self, config: BuildConfig, base: Manifest) -> tuple[str, ...]:
        """The running text that an atlas had, and what other products have made of it."""
        return tuple(about(TEXTS))

    def check(self, plan: Plan) -> None:
        """Raises ModelError for a site that the model does not have."""
        for site in plan.config.sites:
            plan.live.require_site(site)

    def parts(self, plan: Plan) -> list[Part]:
        """One."""
        config, texts = plan.config, plan.running_text
        assert texts is not None
        said = {
            **texts.said(config),
            "sites": list(config.sites),
            "context_length": texts.max_tokens,
            "max_tokens_total": config.max_tokens_total,
            "words": texts.has_words and config.words,
            "batch_tokens": config.batch_tokens,
            "seed": config.seed,
        }
        return [Part("", said | ({"tokens_sha256": texts.sha256} if said["words"] else {}))]

    def units(self, plan: Plan, part: Part) -> list[str]:
        """shard/INDEX."""
        assert plan.running_text is not None
        return [f"shard/{index}" for index in range(len(plan.running_text.shards))]

    def last_units(self, plan: Plan, part: Part) -> list[str]:
        """correlated/SITE where neurons have the same tokens: the longest, so first; place/SITE/LAYER; then texts."""
        from builders.exemplars.work import are_compared

        compared = [f"correlated/{site}" for site in plan.config.sites if are_compared(plan.live, site)]
        return [*compared, *(f"place/{site}/{layer}" for site, layer in plan.places), "texts"]

    def basis(self, plan: Plan, part: Part, ids: Any, unit: str) -> Basis:
        """What is noted of the places of a unit; of `texts` what the lists of all places hold."""
        kind, *names = unit.split("/")
        if kind == "texts":
            return Basis({NOTED_TEXTS.name: {}}, after=True)
        if kind == "correlated":
            every = [index for index, (site, _) in enumerate(plan.places) if site == names[0]]
            return Basis({NOTED_COMPARED.name: {"place": every}})
        here = {"place": [plan.places.index(place_of(unit))]}
        return Basis({NOTED_EXEMPLARS.name: here, NOTED_FIRING.name: here})

    def register(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> Tables:
        """The row of _text_set, and token_count."""
        import numpy as np
        import pyarrow as pa

        from builders.arrow import rows_of
        from builders.exemplars.correlated import CORRELATED
        from builders.exemplars.kinds import BAND_WINDOW, EXTREME_WINDOW
        from builders.exemplars.place import EPSILON

        texts = plan.running_text
        assert texts is not None
        words = texts.has_words and plan.config.words
        row = {
            "run_id": run_id,
            "texts": len(texts),
            "tokens": texts.n_counted,
            "max_tokens": texts.max_tokens,
            "sampled": texts.n_drawn,
            "compared": texts.n_compared,
            "correlated_from": CORRELATED,
            "seed": texts.seed,
            "words": words,
            "epsilon": EPSILON,
            "extreme_window": EXTREME_WINDOW,
            "band_window": BAND_WINDOW,
            "first_token": texts.first_token,
            "sha256": texts.sha256 if words else "",
        }
        rows = {"_text_set": rows_of(EXEMPLAR_TABLES[0], [row])}
        if words:
            counts_V = texts.token_counts(plan.live.d_vocab)
            ids = np.flatnonzero(counts_V)
            rows["token_count"] = pa.table({"token_id": ids.astype(np.int32), "n": counts_V[ids]})
        return rows

    def at_once(self, plan: Plan, part: Part) -> int:
        """Two shards, where lists of all neurons twice are small beside the memory that the options allow."""
        from builders.exemplars.work import at_once  # torch: only now

        return at_once(plan)

    def work(self, plan: Plan, part: Part, ids: Any) -> Work:
        """It holds the lists of all places."""
        from builders.exemplars.work import FindExemplars

        assert plan.running_text is not None
        return FindExemplars(plan, plan.running_text)


PRODUCT = ExemplarProduct()
