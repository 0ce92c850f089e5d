"""What is stored about mixtures of experts: rows of the table of tables."""

from __future__ import annotations

from atlas.schema.table import FIT, MODEL, Column, Table

_LAYER = Column("layer", "INTEGER")
_EXPERT = Column("expert", "INTEGER", "from 0; the shared one is the last")

EXPERT_TABLES: tuple[Table, ...] = (
    Table(
        "expert",
        MODEL,
        (
            _LAYER,
            _EXPERT,
            Column("first_neuron", "INTEGER", "a neuron is the first of its expert + its unit"),
            Column("neurons", "INTEGER", "units of the expert"),
            Column(
                "kind",
                "VARCHAR",
                "routed: tokens are sent to it by a router; shared: every token passes it; dense: a layer without "
                "experts",
            ),
        ),
        key=("layer", "expert"),
        meaning="One row per expert, and per layer that has none in a model whose layers differ. Empty where every "
        "layer is one MLP of\n`d_mlp` neurons.",
        later=True,
    ),
    Table(
        "_expert_count",
        FIT,
        (
            Column("fit_id", "INTEGER"),
            _LAYER,
            _EXPERT,
            Column("concept_id", "INTEGER"),
            Column("n", "INTEGER", "values of the concept from tokens that were routed there"),
            Column("texts", "INTEGER", "texts of the concept with a token that counts and was routed there"),
            Column("texts_all", "INTEGER", "texts of the concept"),
            Column("tokens", "BIGINT", "tokens of the concept that count and were routed there"),
            Column("tokens_all", "BIGINT", "tokens of the concept that count"),
            Column(
                "router_auc",
                "FLOAT",
                "AUC of the router's logit for the expert, pooled as the activations are, ties half; of routed experts",
                "probability",
                null=True,
            ),
            Column("fitted", "BOOLEAN", "whether that is enough: the neurons of the expert have numbers here"),
        ),
        key=("fit_id", "layer", "expert", "concept_id"),
        later=True,
    ),
)

KINDS = ("routed", "shared", "dense")
EXPERT_NAMES = tuple(table.name for table in EXPERT_TABLES)
"""Rules of other tables ask these: where a file is older, they are empty."""
