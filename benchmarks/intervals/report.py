"""docs/results/held_out.md from what was measured."""

from __future__ import annotations

import numpy as np

from benchmarks.common.claim import Table

_TEXT = """# Do held-out numbers hold on new texts?

`python -m benchmarks.intervals.main`, with `--datasets FOLDER` also AG News (numbers in held_out.json beside this page)

SmolLM2-135M-Instruct, mlp_post, last token of the template, all 46,080 neurons. On two thirds of the texts of each set
intervals are found, as a build finds them; the other third is fresh; so for each third. For each concept the 20 neurons
that `concept` lists first (largest held-out coverage − leakage) are taken with their intervals, and coverage − leakage
is given three times: on the texts that the interval was found on (training), from the 5 folds (held out, what an atlas
stores), and on the fresh texts. Picking the best of 46,080 neurons by the held-out number flatters it; the difference
to fresh text says how much.

Luck: the labels of the whole set are shuffled, and the best of all neurons is tested by 200 permutations as a build
does, the same ones for all shufflings. A test that keeps its promise calls one shuffling in twenty significant at
p ≤ .05, give or take.

The goal was a difference of at most .03 between held out and fresh: met with 100 texts a concept, **missed** with 40.
That is the picking, not the folds: the smaller a set, the more the first of many neurons owe to luck.
"""


def page(measured: dict) -> str:
    """The whole page."""
    lines = [_TEXT, "## In short", "", _summary(measured), ""]
    for name, each in measured.items():
        template = each["template"].replace("\n", "\\n")
        lines += [
            f"## {name}",
            "",
            f"{each['texts']} texts, template `{template}`. Means of the 20 best neurons and the three parts.",
            "",
            Table(
                [
                    "concept",
                    "training",
                    "held out",
                    "fresh",
                    "coverage / leakage, fresh",
                    "best neuron, held out",
                    "fresh",
                ],
                [_row(each, concept) for concept in each["concepts"]],
            ).markdown(),
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _summary(measured: dict) -> str:
    head = [
        "set",
        "training",
        "held out",
        "fresh",
        "held out − fresh",
        "shuffled labels called significant: AUC, interval",
    ]
    rows = []
    for name, each in measured.items():
        told = {key: np.mean([row[key] for row in each["rows"]]) for key in ("training", "held_out", "fresh")}
        rates = [np.mean(np.array(each["shuffled_p"][kind]) <= 0.05) for kind in ("auc", "interval")]
        called = f"{rates[0]:.0%}, {rates[1]:.0%} of {each['shuffles']}"
        rows.append(
            [name, *(f"{value:.3f}" for value in told.values()), f"{told['held_out'] - told['fresh']:+.3f}", called]
        )
    return Table(head, rows).markdown()


def _row(each: dict, concept: str) -> list[str]:
    rows = [row for row in each["rows"] if row["concept"] == concept]
    best = [row for i, row in enumerate(rows) if not i or row["part"] != rows[i - 1]["part"]]
    mean = {
        key: np.mean([row[key] for row in rows]) for key in ("training", "held_out", "fresh", "coverage", "leakage")
    }
    return [
        concept,
        *(f"{mean[key]:.2f}" for key in ("training", "held_out", "fresh")),
        f"{mean['coverage']:.2f} / {mean['leakage']:.2f}",
        *(f"{np.mean([row[key] for row in best]):.2f}" for key in ("held_out", "fresh")),
    ]
