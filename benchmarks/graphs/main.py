"""How well do pattern graphs predict where a neuron fires? Writes docs/results/graphs.md from what an atlas has stored.

Run: make demo, then with FILE a copy of the demo's atlas, whose running text are the sentences of both sets:
     neuron-atlas build smollm2-135m -o FILE --add --no-decode --no-concepts --graphs $(python -m benchmarks.graphs.neurons)
     python -m benchmarks.graphs.main FILE

Every figure is of texts that the graph of the neuron was not made from.
"""  # noqa: E501

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from atlas.graph import ROOT
from atlas.sites import format_neuron
from atlas.store.reader import Atlas, open_atlas
from benchmarks.graphs.neurons import KNOWN
from queries.graph import stored_graph

REPORT = Path(__file__).parents[2] / "docs" / "results" / "graphs.md"
PAPER = {0: (0.74, 0.85, 0.74), 1: (0.66, 0.77, 0.64), 2: (0.60, 0.77, 0.60), 3: (0.48, 0.70, 0.48), 4: (0.44, 0.72, 0.46), 5: (0.45, 0.67, 0.42)}  # fmt: skip # noqa: E501
"""Layer -> precision, recall, F1 on firing tokens of arXiv 2304.12918: 50 random neurons of a layer of a six-layer SoLU
model, 10 examples to make a graph and 10 to measure it."""
SQL = """SELECT layer, neuron, nodes, exemplars, held_exemplars, held_random, held_found, held_wrong, held_missed,
                held_tokens, held_precision AS precision, held_recall AS recall, held_f1 AS f1, train_f1
         FROM graph ORDER BY layer, neuron"""
Row = dict[str, Any]


def rows_of(atlas: Atlas) -> list[Row]:
    """The graphs of an atlas at all sites."""
    columns, rows = atlas.query(SQL)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def is_known(row: Row) -> bool:
    """Whether it was not drawn."""
    return format_neuron(row["layer"], row["neuron"]) in KNOWN


def mean(rows: Sequence[Row], name: str) -> str:
    """The mean of a column over the rows that have it, and how many do where that is not all."""
    values = [row[name] for row in rows if row[name] is not None]
    if not values:
        return "–"
    return f"{fmean(values):.2f}" + ("" if len(values) == len(rows) else f" ({len(values)})")


def layers_table(rows: Sequence[Row]) -> list[str]:
    """A line a layer, of the neurons that were drawn; at the end all of them."""
    names = ("precision", "recall", "f1", "train_f1")
    lines = [
        "| layer | neurons | precision | recall | F1 | F1 on its own texts | nodes |",
        "|---|---|---|---|---|---|---|",
    ]
    groups = [
        (str(layer), [row for row in rows if row["layer"] == layer]) for layer in sorted({r["layer"] for r in rows})
    ]
    for name, group in [*groups, ("**all**", list(rows))]:
        scores = " | ".join(mean(group, column) for column in names)
        lines.append(f"| {name} | {len(group)} | {scores} | {fmean(row['nodes'] for row in group):.0f} |")
    return lines


def known_lines(atlas: Atlas, rows: Sequence[Row]) -> list[str]:
    """What fires the neurons that are known from elsewhere."""
    lines = ["| neuron | known for | fires at | precision | recall | F1 |", "|---|---|---|---|---|---|"]
    for row in rows:
        address = format_neuron(row["layer"], row["neuron"])
        if address not in KNOWN:
            continue
        found = stored_graph(atlas, address)
        tokens = [f"`{found.word(node)}`" for node in found.graph.nodes if node.parent == ROOT]
        shown = " ".join(tokens[:12]) + (" …" if len(tokens) > 12 else "")
        scores = " | ".join(mean([row], name) for name in ("precision", "recall", "f1"))
        lines.append(f"| {address} | {KNOWN[address]} | {shown.replace('|', chr(92) + '|')} | {scores} |")
    return lines


def report(atlas: Atlas) -> str:
    """The page."""
    rows = rows_of(atlas)
    drawn = [row for row in rows if not is_known(row)]
    _, [(texts, tokens, length)] = atlas.query("SELECT texts, tokens, max_tokens FROM _text_set")
    firing = sum(row["held_found"] + row["held_missed"] for row in drawn)
    lines = [
        "# Pattern graphs",
        "",
        f"Model `{atlas.manifest.model_id}`. Written by `python -m benchmarks.graphs.main`; its docstring says how.",
        "",
        "A graph is a tree of token patterns that fire a neuron ([methods](../methods.md#pattern-graphs), after",
        "Neuron to Graph, arXiv 2304.12918), made from half of its exemplars. It is measured on the others and on",
        "texts drawn at random: at which of their tokens does the neuron reach half of its largest activation, and",
        f"which does the graph name? The exemplars are of {tokens:,} tokens of running text ({texts:,} texts of at",
        f"most {length} tokens); the neurons were drawn by `benchmarks/graphs/neurons.py`. Means over neurons; in",
        "brackets over how many, where the others have none: a graph that names no token has no precision, a neuron",
        "that fires nowhere has no recall.",
        "",
        *layers_table(drawn),
        "",
        f"A neuron has {fmean(row['held_tokens'] for row in drawn):,.0f} held-out tokens in the mean, and fires at "
        f"{firing / len(drawn):.1f} of them: the scores of one neuron are coarse, and so are means over few",
        "neurons. The exemplars of a small text are weaker than those of a large one, and fewer reach half of the",
        "largest.",
        "",
        "## The paper's",
        "",
        "Other model (six layers, SoLU, 3,072 neurons a layer), other text (the Pile), 50 random neurons a layer, 10",
        "examples to make a graph and 10 to measure it, firing tokens; the paper has no texts drawn at random, which",
        "can only lower precision. So the tables show the same trend and are not compared number by number.",
        "",
        "| layer | precision | recall | F1 |",
        "|---|---|---|---|",
        *(f"| {layer} | {' | '.join(f'{score:.2f}' for score in scores)} |" for layer, scores in PAPER.items()),
        "",
        "## Known neurons",
        "",
        "A graph says what fires a neuron in this running text: in a text without dogs a neuron of dogs shows others.",
        "",
        *known_lines(atlas, rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("atlas", type=Path)
    options = parser.parse_args()
    with open_atlas(options.atlas) as atlas:
        REPORT.write_text(report(atlas), encoding="utf-8")


if __name__ == "__main__":
    main()
