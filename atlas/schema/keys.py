"""Per physical table: its key columns, which are also its sort order in a published file.

There is no PRIMARY KEY: an index costs size and load time and is not used by the questions we ask; sorted
tables with zone maps are. Uniqueness of the keys is checked once, before publishing.
"""

from __future__ import annotations

KEYS: dict[str, tuple[str, ...]] = {
    "run": ("run_id",),
    "vocab": ("token_id",),
    "_token_form": ("form", "token_id"),
    "_decoding": ("nid",),
    # Lowered postings run backwards: steps between neighbours stay small, which packs nid a tenth tighter.
    "_posting": ("token_id", "sign DESC", "sign * nid"),
    "neuron_vector": ("weight", "layer", "neuron"),
    "concept": ("concept_id",),
    "fit": ("fit_id",),
    "fit_concept": ("fit_id", "concept_id"),
    "_fit_example": ("fit_id", "text_hash"),
    # Layer before concept: the rows of a neuron stand in few row groups, each of which costs a look-up time.
    "_gaussian": ("fit_id", "layer", "concept_id", "neuron"),
    "_background": ("fit_id", "layer", "neuron"),
    "_range": ("fit_id", "layer", "tau", "concept_id", "neuron"),
    "_histogram": ("fit_id", "layer", "neuron", "concept_id"),
    "_digest": ("object", "part"),
}

# How older files are sorted, and stay right: what questions ask is found in either order.
EARLIER_KEYS: dict[str, tuple[str, ...]] = {
    "_posting": ("token_id", "sign DESC", "nid"),
    "_gaussian": ("fit_id", "concept_id", "layer", "neuron"),
    "_range": ("fit_id", "concept_id", "tau", "layer", "neuron"),
}

# Made from the other tables on publishing.
DERIVED = ("_token_form", "_posting", "_digest")

# Introduced without a new schema version: an older atlas lacks them, and what they would say is then unknown.
OPTIONAL = ("_fit_example", "_digest")


def key_columns(table: str) -> tuple[str, ...]:
    """Column names of the key: without sort directions, of an expression its last operand."""
    return tuple(column.removesuffix(" DESC").split()[-1] for column in KEYS[table])
