"""A statistic with a table of its own, and the measure that it brings, with a saliency rule."""

from __future__ import annotations

from atlas.schema.measures import Measure, Rule
from atlas.schema.table import FIT, Column, Table

TABLE = Table(
    "_median",
    FIT,
    (
        *(Column(name, "INTEGER") for name in ("fit_id", "concept_id", "layer", "neuron")),
        Column("median", "FLOAT", "median activation on the concept", "activation"),
    ),
    key=("fit_id", "layer", "concept_id", "neuron"),
    waiting=True,
    complete=True,
    later=True,
    view="concept_gaussian",
)
MEASURE = Measure(
    "median",
    "median activation on the concept",
    "_median",
    "activation",
    rules=(Rule("median", "largest median activation", "median DESC NULLS LAST"),),
)


def compute(tile):
    """The columns of TABLE."""
    import numpy as np

    values, concepts = tile.everything.values_NE.numpy(), tile.everything.concepts_NE.numpy()
    own = [values[concepts == concept].reshape(tile.width, n) for concept, n in enumerate(tile.counts_C)]
    return {"median": np.stack([np.median(each, axis=1) for each in own]).astype(np.float32)}
