"""What the product `second_order` stores."""

from __future__ import annotations

from atlas.schema.table import NEURON, Column, Table

_COSINES = "cosines of it to the words, in the order of the words"

SECOND_ORDER = Table(
    "second_order",
    NEURON,
    (
        Column("run_id", "INTEGER", "the run that measured it; its parameters name the images"),
        Column("layer", "INTEGER"),
        Column("neuron", "INTEGER"),
        Column("images", "INTEGER", "how many there were"),
        Column("mean_norm", "FLOAT", "mean over the images of the norm of the neuron's effect on the vector of one"),
        Column("largest_norm", "FLOAT", "the largest of these norms"),
        Column("used", "INTEGER", "images with the largest norms, which the direction is of"),
        Column(
            "explained",
            "FLOAT",
            "share of the squared norms of these effects along the direction; NULL: no effect has a length",
            "share",
            null=True,
        ),
        Column("raised_token", "INTEGER[]", "words nearest to the direction, nearest first", null=True),
        Column("raised_cosine", "FLOAT[]", _COSINES, null=True),
        Column("lowered_token", "INTEGER[]", "words nearest to its opposite", null=True),
        Column("lowered_cosine", "FLOAT[]", _COSINES, null=True),
    ),
    key=("layer", "neuron"),
    meaning="After `build --tower image --images --second-order`: one row per neuron of the chosen layers, its effect "
    "on the vectors\nof images through the attention heads of later layers (vision.md).",
    later=True,
)
