"""How the pictures look: colours that colour-blind readers can tell apart, bumps."""

from __future__ import annotations

from contextlib import AbstractContextManager
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from atlas.answers.picture import drawing
from queries.plots.data import Bump

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


def draw_bump(axes: Axes, edges: list[float], bump: Bump, color: str) -> None:
    """Histogram (filled steps) and Gaussian (line) of a bump, both as densities: each has area 1."""
    width = edges[1] - edges[0]
    heights = [count / (bump.n * width) for count in bump.counts]
    axes.stairs(heights, edges, fill=True, color=color, alpha=0.35, linewidth=0)
    if bump.std > 0:
        curve = NormalDist(bump.mean, bump.std)
        low, high = edges[0] - width, edges[-1] + width
        xs = [low + (high - low) * step / _CURVE_POINTS for step in range(_CURVE_POINTS + 1)]
        axes.plot(xs, [curve.pdf(x) for x in xs], color=color, linewidth=1.6)


def shade_range(axes: Axes, bump: Bump) -> None:
    """The range of a bump as a vertical band, behind everything."""
    if bump.lower is not None and bump.upper is not None:
        axes.axvspan(bump.lower, bump.upper, color=ORANGE, alpha=0.16, linewidth=0, zorder=0)


def activation_label(site: str, position: str) -> str:
    """The name of the x axis."""
    return f"activation at {site} ({position} token)" if position == "last" else f"activation at {site} ({position})"


def share(value: float | None) -> str:
    """A share or an AUC as text."""
    return "-" if value is None else f"{value:.2f}"
