"""The views over facts of weights, and over how common tokens are: rows of the table of views."""

from __future__ import annotations

from atlas.schema.table import Column, View
from atlas.schema.weight_tables import WEIGHT_TABLES

_FACTS, _NEURONS, _NEAREST = WEIGHT_TABLES[:3]

WEIGHT_VIEWS: tuple[View, ...] = (
    View(
        "weight_fact",
        "_weight_fact",
        _FACTS.columns,
        "SELECT count(*) FROM _weight_fact",
        "One row per weight, layer and neuron: the length of the vector, and how its cosines to all tokens are "
        "distributed.\nEmpty without `build --weight-facts`, which a build with decoding has by default.",
    ),
    View(
        "neuron_fact",
        "_neuron_fact",
        (
            *_NEURONS.columns,
            Column(
                "redundant_group", "INTEGER", "the same for neurons whose weights all point the same way; else NULL"
            ),
            Column("redundant_neurons", "BIGINT", "how many neurons its group has"),
        ),
        "SELECT count(*) FROM _neuron_fact",
        "One row per layer and neuron: how its weights lie to each other, to the unembedding and to other neurons'.",
    ),
    View(
        "nearest_neuron",
        "_nearest",
        (
            *_NEAREST.columns[:3],
            Column("same_layer", "BOOLEAN", "whether this is among the nearest of the neuron's layer or of all others"),
            Column("rank", "BIGINT", "1 is the nearest of these"),
            Column("near_layer", "INTEGER"),
            Column("near_neuron", "INTEGER"),
            Column("cosine", "FLOAT", "of the two neurons' vectors"),
        ),
        "SELECT coalesce(sum(len(same_nid) + len(other_nid)), 0)::BIGINT FROM _nearest",
        "One row per weight, neuron and one of its nearest neurons, of its own layer and of the others.",
    ),
    View(
        "token_places",
        "_posting",
        (
            Column("token_id", "INTEGER"),
            Column("places", "BIGINT", "token lists that hold the token, of all weights, layers and both signs"),
            Column("distinctiveness", "DOUBLE", "log of all lists over these"),
        ),
        "SELECT count(DISTINCT token_id) FROM _posting",
        "One row per token that stands in any list: how common it is in all of them.",
        counted=False,
    ),
)
