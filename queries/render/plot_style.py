"""How the pictures look: colours that colour-blind readers can tell apart, bumps, the file on disk."""

from __future__ import annotations

import io
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from atlas.extras import require
from queries.render.plot_data import Bump

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
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


def style() -> Any:
    """A context in which figures get this look; the caller's settings of matplotlib come back after it."""
    return require("matplotlib", extra="plot", why="to draw pictures").rc_context(_STYLE)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches that belongs to no window."""
    figure = require("matplotlib.figure", extra="plot", why="to draw pictures")
    return figure.Figure(figsize=(width, height), layout="constrained")


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


def require_target(path: Path) -> None:
    """Raise UsageError unless a picture can be written at `path`."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path} is not a picture", f"End it in {', '.join(SUFFIXES)}.")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "Create it first.")


def save(figure: Figure, path: Path) -> None:
    """Write the figure by temporary name and rename; the suffix is the format. UsageError when it cannot."""
    from queries.cli.emit import write_file

    form = path.suffix.lower()[1:]
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    content = io.BytesIO()
    figure.savefig(content, format=form, dpi=150, metadata=undated.get(form))
    write_file(content.getvalue(), path)
