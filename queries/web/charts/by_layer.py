"""The frame of the charts that go from layer to layer: a column for each layer, numbers upwards."""

from __future__ import annotations

from dataclasses import dataclass

from queries.web.charts.scale import Scale

WIDTH, HEIGHT, FOOT, TOP, RIGHT = 360, 130, 18, 8, 4


@dataclass(frozen=True, kw_only=True)
class ByLayer:
    """What such a chart has besides what is drawn in it: its size, and (pixel, label) of its ticks."""

    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    left: int
    width: int = WIDTH
    height: int = HEIGHT
    foot: int = FOOT
    top: int = TOP


@dataclass(frozen=True)
class Frame:
    """Scales of `layers` columns and of numbers from `low` to `high`; `left` is room for the labels of these."""

    layers: int
    low: float
    high: float
    left: int
    width: int = WIDTH

    @property
    def x(self) -> Scale:
        """Of layers: layer l stands from x(l) to x(l + 1)."""
        return Scale(0, self.layers, self.left, self.width - RIGHT)

    @property
    def y(self) -> Scale:
        """Of numbers."""
        return Scale(self.low, self.high, HEIGHT - FOOT, TOP)

    def column(self, layer: int) -> tuple[float, float]:
        """Left end and width of a layer's column."""
        left = self.x(layer)
        return left, round(self.x(layer + 1) - left, 2)

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        """Some layers, each below the middle of its column."""
        every = next(step for step in (1, 2, 5, 10, 20, 50, 10**6) if self.layers <= 8 * step)
        return [(self.x(layer + 0.5), str(layer)) for layer in range(0, self.layers, every)]

    def share_ticks(self, most: int) -> list[tuple[float, str]]:
        """Of numbers that are shares, in percent."""
        ticks = Scale(100 * self.low, 100 * self.high, HEIGHT - FOOT, TOP).ticks(most)
        return [(at, f"{text} %") for at, text in ticks]
