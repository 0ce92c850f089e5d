"""The picture of a sweep: nothing lies over a point."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from builders.evaluation import picture
from builders.evaluation.arms import RANGE
from builders.evaluation.bootstrap import Interval
from builders.evaluation.picture import draw_frontier
from builders.evaluation.sweep import Point

RULES = ("auc", "mean_abs", "low_leakage", "dprime", "overlap", "coverage")


def points(rules: int, corner: tuple[float, float]) -> list[Point]:
    """Points around `corner` of the unit square, so that whatever stands in that corner of the axes covers some."""
    place, made = random.Random(str(corner)), []
    for rule in RULES[:rules]:
        for number in range(8):
            x, y = (abs(side - place.random() * 0.3) for side in corner)
            arm, bounds, tau = (RANGE, "gaussian", 2.5) if number % 2 else ("whole_neuron", None, None)
            ends = [Interval(value, value - 0.05, value + 0.05) for value in (y, x)]
            made.append(Point(rule, 100, bounds, tau, "set=0", arm, *ends, best=number == 0))
    return made


@pytest.mark.parametrize("rules", [1, 6])
@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
def test_the_legend_covers_no_point(corner: tuple[float, float], rules: int, tmp_path: Path, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr(picture, "save", lambda figure, path: drawn.append(figure))
    draw_frontier(points(rules, corner), "What a sweep of sports does", "accuracy", tmp_path / "x.png")
    (figure,) = drawn
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legends = [*figure.legends, *([axes.get_legend()] if axes.get_legend() else [])]
    assert len(legends) == 1 and len(legends[0].get_texts()) == 1 + 2 * rules
    box = legends[0].get_window_extent()
    for collection in axes.collections:
        for x, y in collection.get_offsets():
            if collection.get_label()[:1] != "_":
                assert not box.contains(*axes.transData.transform((x, y)))
    assert not box.overlaps(axes.get_window_extent()) and not box.overlaps(axes.xaxis.label.get_window_extent())
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y0 >= figure.bbox.y0
    assert axes.get_window_extent().height > figure.bbox.height / 3
