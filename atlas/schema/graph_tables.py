"""What the product `graphs` stores: the pattern graph of a neuron, and what it reaches on texts not used for it."""

from __future__ import annotations

from atlas.schema.table import TEXTS, Column, Table

_COUNTED = (
    ("train", "texts that it was made from"),
    ("held", "texts of exemplars that it was not made from, and texts drawn at random"),
)

GRAPH_TABLES: tuple[Table, ...] = (
    Table(
        "_graph",
        TEXTS,
        (
            Column("site", "VARCHAR", "mlp_pre, mlp_pre_linear, mlp_post or resid_post"),
            Column("layer", "INTEGER"),
            Column("neuron", "INTEGER"),
            Column("run_id", "INTEGER", "the run that made it"),
            Column("sign", "TINYINT", "1: of where the neuron is largest; -1: of where it is smallest"),
            Column("largest", "FLOAT", "the activation of its first exemplar, which others are parts of", "activation"),
            Column("exemplars", "INTEGER", "that it was made from"),
            Column("held_exemplars", "INTEGER", "that it was measured on"),
            Column("held_random", "INTEGER", "texts drawn at random that it was measured on"),
            *(
                Column(f"{which}_{name}", "INTEGER", f"{meaning}, of the {texts}")
                for which, texts in _COUNTED
                for name, meaning in (
                    ("found", "tokens at which it fires and the graph says so"),
                    ("wrong", "tokens at which it does not and the graph says it does"),
                    ("missed", "tokens at which it fires and the graph says it does not"),
                    ("tokens", "tokens that count"),
                )
            ),
            Column("token", "INTEGER[]", "of each node; -1: any"),
            Column("parent", "INTEGER[]", "of each node the place, from 0, of the one after it in the text; -1: none"),
            Column("value", "FLOAT[]", "mean part of `largest` where patterns end; 0 where none does"),
            Column("n", "INTEGER[]", "patterns that end at each node"),
        ),
        key=("site", "layer", "neuron"),
        later=True,
    ),
)
