"""Histograms of a neuron under a concept and under the rest, the Gaussian, and the interval as a band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from queries.plots.bars import axis, bars, outside
from queries.plots.data import Bump, Span
from queries.web.charts.scale import Scale

WIDTH, HEIGHT, FOOT, HEAD = 360, 106, 18, 13
"""HEAD: what is free above the highest bar, for how many values lie beyond the ends."""
_ROOM = 1.5
"""How much higher than the highest bar a curve may make the chart."""
_ENDS, _STEPS = 4, 64
BELL = "M" + "L".join(
    f"{z:g} {-math.exp(-z * z / 2):.4f}" for z in (_ENDS * (2 * step / _STEPS - 1) for step in range(_STEPS + 1))
)
"""A Gaussian of mean 0, standard deviation 1 and height 1 as an SVG path: every curve of a page is this one, moved."""


@dataclass(frozen=True)
class Shape:
    """One set of examples: its histogram as an SVG path, and what makes BELL its Gaussian, "" for none."""

    histogram: str
    curve: str


@dataclass(frozen=True)
class Density:
    """A chart of WIDTH x HEIGHT. `band`: (left, width) of the interval. `beyond`: values left and right of the axis."""

    shapes: list[Shape]
    band: tuple[float, float] | None
    ticks: list[tuple[float, str]]
    beyond: tuple[int, int]
    width: int = WIDTH
    height: int = HEIGHT
    foot: int = FOOT

    def svg(self, label: str) -> Markup:
        """The chart, and what it is of. Written here and not in a template: a neuron has one for each concept."""
        width, height, foot = self.width, self.height, self.height - self.foot
        said = escape(label)
        written = [
            f'<svg class="density" viewBox="0 0 {width} {height}" role="img" aria-label="{said}">\n'
            f"  <title>{said}</title>\n"
        ]
        if self.band:
            written.append(f'<rect class="band" x="{self.band[0]}" y="0" width="{self.band[1]}" height="{foot}"/>')
        for place, shape in enumerate(self.shapes, 1):
            kind = "own" if place == len(self.shapes) else "rest"
            curve = f'<use class="curve" href="#bell" transform="{shape.curve}"/>' if shape.curve else ""
            written.append(f'  <g class="shape {kind}"><path class="histogram" d="{shape.histogram}"/>{curve}</g>\n')
        written.append(f'  <line class="axis" x1="0" x2="{width}" y1="{foot}" y2="{foot}"/>\n')
        for x, text in self.ticks:
            anchor = "start" if x < 12 else "end" if x > width - 12 else "middle"
            written.append(
                f'  <text class="tick" x="{x}" y="{height - 4}" text-anchor="{anchor}">{escape(text)}</text>\n'
            )
        before, after = self.beyond
        if before:
            written.append(f'<text class="beyond" x="2" y="9">← {before} more</text>')
        if after:
            written.append(f'<text class="beyond" x="{width - 2}" y="9" text-anchor="end">{after} more →</text>')
        return Markup("".join([*written, "</svg>\n"]))


def ends_of(edges: Sequence[float], bumps: Sequence[Bump], span: Span | None) -> tuple[float, float]:
    """The ends of an axis for these bumps: without outliers, but with the whole interval."""
    return axis(edges, [bump.counts for bump in bumps], [] if span is None else [span.lower, span.upper])


def density(
    edges: list[float], bumps: Sequence[Bump], span: Span | None, ends: tuple[float, float] | None = None
) -> Density:
    """The bumps over each other, each a density of area 1; the first is drawn last, on top."""
    low, high = ends or ends_of(edges, bumps, span)
    x = Scale(low, high, 0, WIDTH)
    drawn = [(bump, *_heights(edges, bump)) for bump in bumps]
    tallest = max((max(heights) for _, _, heights in drawn if heights), default=0.0) or 1.0
    # Room for the curves, but those of a narrow Gaussian are cut rather than that they flatten everything.
    peaks = [1 / (math.sqrt(2 * math.pi) * bump.std) for bump, _, _ in drawn if bump.std > 0]
    tallest = max(tallest, min(max(peaks, default=0.0), _ROOM * tallest))
    y = Scale(0.0, tallest * 1.08, HEIGHT - FOOT, HEAD)
    shapes = [Shape(_steps(shown, heights, x, y), _curve(bump, x, y)) for bump, shown, heights in reversed(drawn)]
    beyond = [outside(edges, bump.counts, (low, high)) for bump in bumps]
    return Density(shapes, _band(span, x), x.ticks(), (sum(a for a, _ in beyond), sum(b for _, b in beyond)))


def _heights(edges: list[float], bump: Bump) -> tuple[list[float], list[float]]:
    shown, counts = bars(edges, bump.counts)
    return shown, [
        count / (bump.n * (right - left)) for count, (left, right) in zip(counts, pairwise(shown), strict=True)
    ]


def _steps(shown: list[float], heights: list[float], x: Scale, y: Scale) -> str:
    """The outline of a histogram, closed at the foot."""
    left, *rights = x.places(shown)
    foot, *tops = y.places([0.0, *heights])
    outline = "".join([f"V{top}H{right}" for top, right in zip(tops, rights, strict=True)])
    return f"M{left} {foot}{outline}V{foot}Z"


def _curve(bump: Bump, x: Scale, y: Scale) -> str:
    """What moves the middle, the width and the top of BELL to those of the bump's Gaussian."""
    if not bump.std > 0 or not x.high > x.low:
        return ""
    across = (x.end - x.start) / (x.high - x.low)
    up = (y.start - y.end) / (y.high - y.low)
    top = up / (math.sqrt(2 * math.pi) * bump.std)
    middle = x.start + (bump.mean - x.low) * across
    return f"translate({middle:.2f} {y.start}) scale({bump.std * across:.4f} {top:.3f})"


def _band(span: Span | None, x: Scale) -> tuple[float, float] | None:
    if span is None:
        return None
    left = x(x.low if span.lower == -math.inf else span.lower)
    right = x(x.high if span.upper == math.inf else span.upper)
    return left, max(round(right - left, 2), 1.5)  # an interval of one value is seen as a line
