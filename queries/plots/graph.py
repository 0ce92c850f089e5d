"""A picture of a pattern graph: the tokens that a neuron fires at on the right, what has to come before on the left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from atlas.answers.cells import number
from atlas.answers.picture import new_figure, require_target, save
from atlas.graph import ANY, ROOT
from atlas.sites import DEFAULT_SITE
from atlas.store.reader import Atlas
from queries.answering import question
from queries.graph import StoredGraph, stored_graph
from queries.plots import bumps as look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_DRAWN = 150
"""Nodes of a picture: the first ones of the tree, whose patterns have the largest values."""
_ROW, _COLUMN = 0.24, 1.5  # inches


@question
def plot_graph(atlas: Atlas, address: str, path: str | Path, *, site: str = DEFAULT_SITE) -> int:
    """Draw the graph of one neuron; how many nodes had no room.

    `path` ends in .png, .svg or .pdf. Raises as `stored_graph`, UsageError for a path that will not do,
    MissingExtraError without matplotlib.
    """
    target = Path(path)
    require_target(target)
    found = stored_graph(atlas, address, site=site)
    with look.style():
        save(draw_graph(found), target)
    return max(0, len(found.graph.nodes) - MOST_DRAWN)


def draw_graph(found: StoredGraph) -> Figure:
    """The figure of `plot_graph`."""
    nodes = found.graph.nodes[:MOST_DRAWN]
    depths = found.graph.depths[: len(nodes)]
    rows = _rows([node.parent for node in nodes])
    figure = new_figure(max(5.0, _COLUMN * (max(depths) + 0.5)), 1.0 + _ROW * (max(rows) + 1))
    axes = figure.add_subplot()
    for place, node in enumerate(nodes):
        x, y = -depths[place], -rows[place]
        if node.parent != ROOT:
            axes.plot([x, -depths[node.parent]], [y, -rows[node.parent]], color="0.75", linewidth=0.8, zorder=1)
        said = found.word(node) if node.value is None else f"{found.word(node)}  {number(node.value, 2)}"
        axes.text(
            x,
            y,
            said.replace("$", r"\$"),
            ha="center",
            va="center",
            fontsize=7,
            color="0.5" if node.token == ANY else "black",
            fontweight="bold" if node.parent == ROOT else "normal",
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
            zorder=2,
        )
    f1 = found.held.f1
    scored = "" if f1 is None else f", F1 {number(f1, 2)} on texts that it was not made from"
    axes.set_title(f"{found.address}: what it fires at (right), and after what{scored}", fontsize=9, loc="left")
    axes.set_xlim(-max(depths) - 0.5, -0.5)
    axes.set_ylim(-max(rows) - 1, 1)
    axes.axis("off")
    return figure


def _rows(parents: list[int]) -> list[float]:
    """A row for each node: leaves one below the other in the order of the tree, others in the middle of theirs."""
    below: dict[int, list[float]] = {}
    rows = [0.0] * len(parents)
    is_parent = set(parents)
    leaves = 0
    for place in range(len(parents)):  # a tree in preorder: leaves come in the order in which they are drawn
        if place not in is_parent:
            rows[place] = float(leaves)
            leaves += 1
    for place in reversed(range(len(parents))):
        if place in below:
            rows[place] = (min(below[place]) + max(below[place])) / 2
        below.setdefault(parents[place], []).append(rows[place])
    return rows
