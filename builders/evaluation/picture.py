"""The picture of a sweep: what the target class loses against what all others lose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from atlas.answers.picture import drawing, new_figure, save
from builders.evaluation.arms import RANGE
from builders.evaluation.sweep import Point

# The palette of Okabe and Ito, which colour-blind readers can tell apart.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_GREY, _INK = "#B0B0B0", "#303030"


def draw_frontier(points: Sequence[Point], title: str, metric: str, path: Path) -> None:
    """Draw the points with their intervals, one colour a rule; the frontier is a line. Replaces `path`."""
    look = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}
    with drawing(look):
        figure = new_figure(6.4, 4.8)
        axes = figure.subplots()
        axes.axline((0, 0), slope=1, color=_GREY, linewidth=0.8, linestyle=":", zorder=0)
        best = sorted((p.complement.value, p.target.value) for p in points if p.best)
        axes.step(*zip(*best, strict=True), where="post", color=_INK, linewidth=1, zorder=1, label="frontier")
        for number, rule in enumerate(dict.fromkeys(point.rule for point in points)):
            for ranged, marker in ((True, "o"), (False, "x")):
                own = [point for point in points if point.rule == rule and (point.arm == RANGE) == ranged]
                if own:
                    name = f"{rule}, {'range' if ranged else 'whole neuron'}"
                    _scatter(axes, own, _COLORS[number % len(_COLORS)], marker, name)
        axes.set(xlabel=f"{metric} drop on all other classes", ylabel=f"{metric} drop on the target class", title=title)
        # Below the axes: points may be anywhere inside.
        figure.legend(frameon=False, loc="outside lower center", ncols=2)
        save(figure, path)


def _scatter(axes, points: Sequence[Point], color: str, marker: str, name: str) -> None:
    xs, ys = [p.complement.value for p in points], [p.target.value for p in points]
    for point, x, y in zip(points, xs, ys, strict=True):
        if point.target.low is not None and point.complement.low is not None:
            axes.hlines(y, point.complement.low, point.complement.high, color=color, alpha=0.25, linewidth=1)
            axes.vlines(x, point.target.low, point.target.high, color=color, alpha=0.25, linewidth=1)
    axes.scatter(xs, ys, color=color, marker=marker, s=28, label=name, zorder=2)
