"""Some neurons of one (site, layer), and what is computed of their activations anyway: what tile statistics have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from atlas.errors import BuildError
from builders.gaussians.separation import RangeCounts
from builders.gaussians.sorting import Labelled
from builders.gaussians.statistics.extremes import Extremes
from builders.gaussians.statistics.moments import Moments

if TYPE_CHECKING:
    from builders.gaussians.statistics.registry import TileStatistic


@dataclass(frozen=True)
class Tile:
    """Axes: E values of a neuron, C concepts, N neurons of the tile, T half-widths of ranges."""

    counts_C: np.ndarray
    """Values of each concept, int64."""
    everything: Labelled
    """All values of each neuron ascending, [N, E] float32, and the concept of each; on the device."""
    own: list[tuple[slice, Tensor]]
    """Runs of neighbouring concepts with equally many values, and their values, each concept's ascending: float64
    [N, concepts, values of each]; on the device."""
    moments: Moments
    extremes: Extremes
    background: Moments
    """Over the values of all concepts."""
    taus: Sequence[float]
    lower_TCN: np.ndarray
    upper_TCN: np.ndarray
    """The closed ranges mean ± tau·std, float32."""
    ranges: RangeCounts
    """What falls into them."""

    @property
    def width(self) -> int:
        """N."""
        return len(self.everything.values_NE)

    def further(self, statistics: Iterable[TileStatistic]) -> dict[str, dict[str, np.ndarray]]:
        """Table -> column -> array [C, N] of registered statistics.

        Raises BuildError where one gives other columns than its table has, or arrays of another shape.
        """
        return {each.TABLE.name: self._computed(each) for each in statistics}

    def _computed(self, statistic: TileStatistic) -> dict[str, np.ndarray]:
        found, table = dict(statistic.compute(self)), statistic.TABLE
        columns = [column.name for column in table.values()]
        if sorted(found) != sorted(columns):
            raise BuildError(f"a statistic gave the columns {sorted(found)} of {table.name}, which has {columns}")
        for name, values in found.items():
            if values.shape[:2] != (due := (self.counts_C.size, self.width)):
                raise BuildError(f"{table.name}.{name} has the shape {values.shape} for {due} concepts and neurons")
        return found
