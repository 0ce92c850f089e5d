"""A statistic with a table of its own, as somebody would add one: one file, one line in each of two tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from atlas.schema.table import FIT, Column, Table
from atlas.schema.tables import TABLES
from builders.gaussians.statistics.registry import TILE_STATISTICS
from builders.gaussians.tile import Tile

TABLE = Table(
    "_toy",
    FIT,
    (
        Column("fit_id", "INTEGER"),
        Column("concept_id", "INTEGER"),
        Column("layer", "INTEGER"),
        Column("neuron", "INTEGER"),
        Column("median", "FLOAT", "median activation on the concept", "activation"),
        Column("geometric", "FLOAT", "geometric mean, where all activations are positive", "activation", null=True),
        Column("positive", "INTEGER", "activations above 0"),
        Column("ends", "FLOAT[2]", "smallest and largest activation", "activation"),
    ),
    key=("fit_id", "layer", "concept_id", "neuron"),
    waiting=True,
    complete=True,
    later=True,
    view="concept_gaussian",
)


def compute(tile: Tile) -> dict[str, np.ndarray]:
    """The columns of TABLE."""
    values, concepts = tile.everything.values_NE.numpy(), tile.everything.concepts_NE.numpy()
    own = [values[concepts == concept].reshape(tile.width, n) for concept, n in enumerate(tile.counts_C)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "median": np.stack([np.median(each, axis=1) for each in own]).astype(np.float32),
            "geometric": np.stack([np.exp(np.log(each.astype(np.float64)).mean(1)) for each in own]),
            "positive": np.stack([(each > 0).sum(axis=1) for each in own]),
            "ends": np.stack([each[:, [0, -1]] for each in own]),
        }


@contextmanager
def registered() -> Iterator[None]:
    """The two lines, for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, "_toy", TABLE)
        patch.setitem(TILE_STATISTICS, "toy", __name__)
        yield
