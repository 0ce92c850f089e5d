"""What the product `gradients` stores: rows of the table of tables."""

from __future__ import annotations

from atlas.schema.table import FIT, Column, Table

RULES = ("gradient", "relp")
"""What is computed of a neuron, and checked by edits: its gradient, or the coefficient of RelP (arXiv 2508.21258)."""
EDITS = {"set_0": ("set", 0.0), "add_2": ("add", 2.0), "set_20": ("set", 20.0)}
"""The edits that it is checked by: name -> op and number (atlas/ops.py)."""

_FIT = Column("fit_id", "INTEGER")
_CONCEPT = Column("concept_id", "INTEGER")
_LAYER = Column("layer", "INTEGER")
_NEURON = Column("neuron", "INTEGER")
_PER = "logits per unit of activation"

GRADIENT_TABLES: tuple[Table, ...] = (
    Table(
        "_gradient_fit",
        FIT,
        (
            _FIT,
            Column("run_id", "INTEGER", "the run that took the gradients"),
            Column("sample", "INTEGER", "neurons that were drawn and edited as a check"),
            Column("texts", "INTEGER", "texts that they were edited on"),
            Column("seed", "BIGINT", "of what was drawn"),
        ),
        key=("fit_id",),
        later=True,
    ),
    Table(
        "_gradient_target",
        FIT,
        (
            _FIT,
            _CONCEPT,
            Column("token_id", "INTEGER", "the next token whose logit is differentiated"),
            Column(
                "whole", "BOOLEAN", "whether it is the whole name, or was named; false: the first token of the name"
            ),
            Column("texts", "INTEGER", "texts of the concept that the numbers are means over"),
        ),
        key=("fit_id", "concept_id"),
        later=True,
    ),
    Table(
        "_gradient",
        FIT,
        (
            _FIT,
            _LAYER,
            _CONCEPT,
            _NEURON,
            Column("gradient", "FLOAT", "mean over the concept's texts of d logit / d activation", _PER),
            Column("gradient_std", "FLOAT", "its population standard deviation", _PER),
            Column("attribution", "FLOAT", "mean over the concept's texts of activation × gradient", "logits"),
            Column("attribution_std", "FLOAT", "its population standard deviation", "logits"),
        ),
        key=("fit_id", "layer", "concept_id", "neuron"),
        waiting=True,
        complete=True,
        later=True,
    ),
    Table(
        "_gradient_sample",
        FIT,
        (
            _FIT,
            Column("place", "INTEGER", "of the text among those drawn, from 1"),
            _CONCEPT,
            Column("text_hash", "UBIGINT"),
            _LAYER,
            _NEURON,
            Column(
                "activation", "FLOAT", "at the position of the fit; summed where that is several tokens", "activation"
            ),
            Column("gradient", "FLOAT", "d logit / d activation, likewise", _PER),
            Column("gradient_attribution", "FLOAT", "activation × gradient, likewise", "logits"),
            Column("relp", "FLOAT", "RelP's coefficient, likewise", _PER),
            Column("relp_attribution", "FLOAT", "activation × that, likewise", "logits"),
            *(
                Column(name, "FLOAT", f"change of the logit under {op}={value:g}, measured", "logits")
                for name, (op, value) in EDITS.items()
            ),
        ),
        key=("fit_id", "place", "layer", "neuron"),
        later=True,
        whole=True,
    ),
    Table(
        "_gradient_check",
        FIT,
        (
            _FIT,
            Column("rule", "VARCHAR", "gradient or relp"),
            Column("edit", "VARCHAR", "set_0, add_2 or set_20"),
            Column("n", "INTEGER", "neurons times texts"),
            Column("pearson", "DOUBLE", "correlation of the change that is computed with that measured", null=True),
            Column("spearman", "DOUBLE", "the same of their ranks", null=True),
        ),
        key=("fit_id", "rule", "edit"),
        later=True,
    ),
)
