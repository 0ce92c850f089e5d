"""How the pictures look: colours that colour-blind readers can tell apart, bumps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from atlas.answers.picture import drawing
from queries.plots.bars import bars, outside
from queries.plots.data import GAUSSIAN, Bump, Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# From the palette of Okabe and Ito.
BLUE, ORANGE, GREY, INK = "#0072B2", "#E69F00", "#8A8A8A", "#303030"

_STYLE: dict[str, Any] = {
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#B0B0B0",
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a concept may be named "$5 bills"
    "svg.fonttype": "none",
    "svg.hashsalt": "neuron-atlas",
}
_CURVE_POINTS = 400


def style() -> AbstractContextManager[None]:
    """A context in which figures get this look."""
    return drawing(_STYLE)


def draw_bump(axes: Axes, edges: list[float], bump: Bump, color: str, kind: str) -> None:
    """Histogram (filled steps) and Gaussian (line) of a bump, both as densities: each has area 1.

    The line is thin where the range of this `kind` does not come from it.
    """
    shown, counts = bars(edges, bump.counts)
    heights = [count / (bump.n * (high - low)) for count, (low, high) in zip(counts, pairwise(shown), strict=True)]
    axes.stairs(heights, shown, fill=True, color=color, alpha=0.4, linewidth=0)
    if bump.std > 0:
        curve = NormalDist(bump.mean, bump.std)
        width = edges[1] - edges[0]
        low, high = edges[0] - width, edges[-1] + width
        xs = [low + (high - low) * step / _CURVE_POINTS for step in range(_CURVE_POINTS + 1)]
        axes.plot(xs, [curve.pdf(x) for x in xs], color=color, linewidth=1.6 if kind == GAUSSIAN else 0.9)


def shade(axes: Axes, span: Span | None, ends: tuple[float, float]) -> None:
    """A range as a vertical band, behind everything; an open side goes to the end of the axis."""
    if span is None:
        return
    low = ends[0] if span.lower == -math.inf else span.lower
    high = ends[1] if span.upper == math.inf else span.upper
    # A range of one value is seen as a line.
    axes.axvspan(low, high, color=ORANGE, alpha=0.2, linewidth=0 if low < high else 1.5, zorder=0)


def set_axis(axes: Axes, ends: tuple[float, float], edges: list[float], bumps: Iterable[Bump]) -> None:
    """The x axis from end to end; in the corners how many values of the bumps are beyond it."""
    axes.set_xlim(*ends)
    axes.set_ylim(bottom=0)
    beyond = [outside(edges, bump.counts, ends) for bump in bumps]
    below, above = (sum(side) for side in zip(*beyond, strict=True))
    for count, x, text in ((below, 0.01, f"← {below} more"), (above, 0.99, f"{above} more →")):
        if count:
            place: dict[str, Any] = {"ha": "left" if x < 0.5 else "right", "va": "top", "transform": axes.transAxes}
            paper = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}
            axes.text(x, 0.96, text, fontsize=7, color=INK, bbox=paper, **place)


def activation_label(site: str, position: str) -> str:
    """The name of the x axis."""
    return f"activation at {site} ({position} token)" if position == "last" else f"activation at {site} ({position})"


def share(value: float | None) -> str:
    """A share or an AUC as text."""
    return "-" if value is None else f"{value:.2f}"


def bounds(span: Span) -> str:
    """Where a range is, in words."""
    if math.isinf(span.lower) and math.isinf(span.upper):
        return "all values"
    if math.isinf(span.upper):
        return f"≥ {span.lower:.3g}"
    return f"≤ {span.upper:.3g}" if math.isinf(span.lower) else f"{span.lower:.3g} to {span.upper:.3g}"


def shares(span: Span | None, between: str = "   ") -> str:
    """What a range holds; of new texts, where that is known."""
    coverage, leakage = (None, None) if span is None else span.expected or (span.coverage, span.leakage)
    return f"coverage {share(coverage)}{between}leakage {share(leakage)}"
