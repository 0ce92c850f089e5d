"""The views of pattern graphs. Their SQL stands in macros.sql."""

from __future__ import annotations

from atlas.schema.stored import columns_of
from atlas.schema.table import Column, View

GRAPH_VIEWS: tuple[View, ...] = (
    View(
        "graph",
        "_graph",
        (
            *columns_of("_graph", "site", "layer", "neuron", "sign", "largest"),
            Column("nodes", "BIGINT", "of its tree"),
            *columns_of("_graph", "exemplars", "held_exemplars", "held_random"),
            *columns_of("_graph", "held_found", "held_wrong", "held_missed", "held_tokens"),
            Column("held_precision", "DOUBLE", "of the tokens that it names, at how many the neuron fires", "share"),
            Column("held_recall", "DOUBLE", "of the tokens at which the neuron fires, how many it names", "share"),
            Column("held_f1", "DOUBLE", "their harmonic mean", "share"),
            *columns_of("_graph", "train_found", "train_wrong", "train_missed", "train_tokens"),
            Column("train_f1", "DOUBLE", "on the texts that it was made from", "share"),
        ),
        "SELECT count(*) FROM _graph",
        "One row per neuron with a pattern graph (`build --graphs`): how well it predicts where the neuron fires, at "
        "half of\n`largest` or more, on texts that it was not made from.",
    ),
    View(
        "graph_node",
        "_graph",
        (
            *columns_of("_graph", "site", "layer", "neuron"),
            Column("node", "BIGINT", "its place in the graph, from 0"),
            Column("parent", "INTEGER", "the node of the token after it; -1: the neuron fires at this one"),
            Column("token_id", "INTEGER", "-1: any token"),
            Column("token", "VARCHAR", "its text; NULL for any"),
            Column("value", "FLOAT", "mean activation where patterns end, as a part of `largest`; else NULL"),
            Column("n", "INTEGER", "patterns that end here"),
        ),
        "SELECT coalesce(sum(len(token)), 0) FROM _graph",
        "One row per node of a pattern graph, read backwards from the token at which the neuron fires.",
        counted=False,
    ),
)
