"""Every statistic that is not part of the fits themselves, by name.

A streaming statistic sees blocks of activations (base.Statistic). A tile statistic is computed from what is at hand
about some neurons (builders/gaussians/tile.py) and has a table of its own: a module in this package with

    TABLE      its Table, which is in the table of tables (atlas/schema/tables.py): about fits, key fit_id, layer,
               concept_id, neuron; waiting, complete, and with a view that shows its columns, `concept_gaussian`
    compute    Tile -> {column that is not part of the key: array [C, N]}; NaN is stored as NULL

A new one is one file in this package, one line here and one in the table of tables.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from atlas.schema.table import Table

if TYPE_CHECKING:
    import numpy as np

    from builders.gaussians.statistics.base import Statistic
    from builders.gaussians.tile import Tile

STATISTICS = {
    "moments": "builders.gaussians.statistics.moments:Moments",
    "extremes": "builders.gaussians.statistics.extremes:Extremes",
}

TILE_STATISTICS: dict[str, str] = {}
"""Name -> module."""


class TileStatistic(Protocol):
    """What a module has that declares a tile statistic."""

    TABLE: Table
    compute: Callable[[Tile], Mapping[str, np.ndarray]]


def statistic(name: str) -> type[Statistic]:
    """The class of a streaming statistic; KeyError for a name that is not registered."""
    module, _, attribute = STATISTICS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def tile_statistics() -> list[TileStatistic]:
    """All that are registered."""
    return [importlib.import_module(module) for module in TILE_STATISTICS.values()]
