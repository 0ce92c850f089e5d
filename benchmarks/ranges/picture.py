"""The picture of the masking experiment: what the target class loses against what all others lose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.extras import require
from benchmarks.ranges.masking import RANDOM, WHOLE, accuracy, class_means, is_right
from builders.evaluation.bootstrap import Interval

if TYPE_CHECKING:
    from benchmarks.ranges.found import TaskResult

# The palette of Okabe and Ito, which colour-blind readers can tell apart.
_COLORS = ("#0072B2", "#E69F00", "#009E73")


def draw(tasks: Sequence[TaskResult], bootstrap: int, seed: int, path: Path) -> None:
    """One panel a corpus and protocol, one colour a setting: taus in a line, cross whole neuron, triangle random."""
    matplotlib = require("matplotlib", extra="plot", why="to draw pictures")
    figures = require("matplotlib.figure", extra="plot", why="to draw pictures")
    look = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(look):
        figure = figures.Figure(figsize=(8.4, 7.2), layout="constrained")
        grid = figure.subplots(len(tasks), 2, sharex=True, sharey=True, squeeze=False)
        for row, task in zip(grid, tasks, strict=True):
            for axes, correct_only in zip(row, (False, True), strict=True):
                _panel(axes, task, correct_only, bootstrap, seed)
        for axes in grid[-1]:
            axes.set_xlabel("accuracy drop on all other classes")
        for row in grid:
            row[0].set_ylabel("accuracy drop on the target class")
        figure.legend(*grid[0][0].get_legend_handles_labels(), frameon=False, ncols=3, loc="outside lower center")
        figure.savefig(path, dpi=150, metadata={"Software": None})


def _panel(axes, task: TaskResult, correct_only: bool, bootstrap: int, seed: int) -> None:
    axes.axline((0, 0), slope=1, color="#B0B0B0", linewidth=0.8, linestyle=":", zorder=0)
    axes.set_title(f"{task.task.name}: {'texts the model gets right' if correct_only else 'all held-out texts'}")
    for color, result in zip(_COLORS, task.settings, strict=False):
        keep_E = is_right(result.outcome, correct_only)
        means = class_means(result.outcome, accuracy(result.outcome), keep_E, list(task.task.concepts), bootstrap, seed)
        ranges = [(arm, each) for arm, each in means.items() if arm.startswith("range")]
        xs, ys = ([getattr(each, name).value for _, each in ranges] for name in ("complement_drop", "target_drop"))
        axes.plot(xs, ys, color=color, marker="o", markersize=4, linewidth=1, label=f"{result.setting.name}, ranges")
        for x, y, (arm, _) in zip(xs, ys, ranges, strict=True):
            axes.annotate(arm.rpartition(" ")[2], (x, y), textcoords="offset points", xytext=(4, -8), fontsize=6)
        chance = means[RANDOM]
        name = f"{result.setting.name}, random neurons"
        at = (chance.complement_drop.value, chance.target_drop.value)
        axes.plot(*at, color=color, marker="^", markersize=5, markerfacecolor="none", linewidth=0, label=name)
        whole = means[WHOLE]
        across, up = whole.complement_drop, whole.target_drop
        axes.errorbar(
            across.value,
            up.value,
            xerr=_arms(across),
            yerr=_arms(up),
            color=color,
            marker="x",
            markersize=7,
            linewidth=0.6,
            label=f"{result.setting.name}, whole neuron",
        )


def _arms(each: Interval) -> list[list[float]]:
    """Lengths of an error bar; a percentile interval need not contain its value."""
    return [[max(0.0, each.value - each.low)], [max(0.0, each.high - each.value)]]
