"""The public view of what routers do: a row of the table of views. Its SQL stands in macros.sql."""

from __future__ import annotations

from atlas.schema.stored import FIT_COLUMNS, columns_of
from atlas.schema.table import Column, View

EXPERT_VIEWS: tuple[View, ...] = (
    View(
        "expert_concept",
        "_expert_count",
        (
            *columns_of("_expert_count", "fit_id", "concept_id"),
            *FIT_COLUMNS,
            *columns_of("_expert_count", "layer", "expert"),
            *columns_of("expert", "kind", "first_neuron", "neurons"),
            *columns_of("_expert_count", "n"),
            Column("share", "DOUBLE", "of the concept's values", "share"),
            Column("text_share", "DOUBLE", "texts of the concept with a token that was routed there", "share"),
            Column("token_share", "DOUBLE", "tokens of the concept that were routed there", "share"),
            *columns_of("_expert_count", "router_auc", "fitted"),
        ),
        "SELECT count(*) FROM _expert_count",
        "One row per fit, concept, layer and expert of a mixture of experts: how much of the concept its router sends "
        "there.",
    ),
)
