"""Where a build's time goes: a bar a phase, the bare work in it dark."""

from __future__ import annotations

from pathlib import Path

from atlas.extras import require

_BARE, _OURS = "#0072B2", "#E69F00"
"""Of the palette of Okabe and Ito, which colour-blind readers can tell apart."""


def draw(path: Path, phases: dict[str, float], bare: dict[str, float]) -> None:
    """Write an SVG; seconds by phase, and of those that have bare work the seconds of it."""
    matplotlib = require("matplotlib", extra="plot", why="to draw pictures")
    figures = require("matplotlib.figure", extra="plot", why="to draw pictures")
    shown = {name: taken for name, taken in phases.items() if taken > 0.005 * sum(phases.values())}
    names = list(reversed(shown))
    look = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "0"}
    with matplotlib.rc_context(look):
        figure = figures.Figure(figsize=(7.2, 0.8 + 0.32 * len(names)), layout="constrained")
        axes = figure.subplots()
        axes.barh(names, [shown[name] for name in names], color=_OURS, label="build")
        axes.barh(names, [bare.get(name, 0.0) for name in names], color=_BARE, height=0.4, label="bare work")
        for place, name in enumerate(names):
            ratio = f" ({shown[name] / bare[name]:.2f} x)" if bare.get(name) else ""
            axes.annotate(
                f"{shown[name]:.1f} s{ratio}",
                (max(shown[name], bare.get(name, 0.0)), place),
                textcoords="offset points",
                xytext=(4, -3),
            )
        axes.margins(x=0.3)  # what is written behind the longest bar
        axes.set_xlabel("seconds")
        figure.legend(frameon=False, loc="outside upper right", ncols=2)
        figure.savefig(path, metadata={"Date": None})
