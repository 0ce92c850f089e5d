"""docs/results/neurons.md from what was read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from benchmarks.common.claim import Table
from benchmarks.neurons.agree import SHUFFLES, Comparison, Row, agreement, of_one
from benchmarks.neurons.block import block, signed
from benchmarks.neurons.cells import NOTHING, small
from benchmarks.neurons.comparisons import COMPARED, COMPARISONS, INPUT, OUTPUT
from benchmarks.neurons.drawn import ANY, EACH, KNOWN_GROUP, LAYERS, READABLE, SEED
from benchmarks.neurons.labels import WORDS
from benchmarks.neurons.prose import ATTRIBUTED, COUNTED, HEAD, MATRIX, NOT_ATTRIBUTED, SCORES

GROUPS = {
    READABLE: ("high kurtosis", "Drawn among neurons of high vocabulary kurtosis"),
    ANY: ("all", "Drawn among all neurons"),
    KNOWN_GROUP: ("known", "Known neurons"),
}
"""Short and long name of each."""
LUCK = 0.05


def page(measured: dict[str, Any]) -> str:
    """The whole page."""
    rows = {group: [row for row in measured["rows"] if row["group"] == group] for group in GROUPS}
    lines = [_head(measured), "## Do they agree?", "", *_counted(rows), "", "## Descriptions and graphs", ""]
    lines += [*_scores(rows), "", "## Neuron by neuron", "", MATRIX, _matrix(rows), ""]
    for group, (_, heading) in GROUPS.items():
        lines += [f"## {heading}", "", *(line for row in rows[group] for line in block(row))]
    return "\n".join(lines).rstrip() + "\n"


def _head(measured: dict[str, Any]) -> str:
    said = {"model": measured["model"], "null": measured["random_kurtosis_95"], **measured["texts"]}
    said |= {"first": LAYERS[0], "last": LAYERS[1], "seed": SEED, "each": EACH}
    told = measured["attributions"]
    attributed = ATTRIBUTED.format(**told) if told else NOT_ATTRIBUTED
    return HEAD.format(**said, neurons=measured["neurons"], readable=measured[READABLE]) + attributed


def _counted(rows: dict[str, list[Row]]) -> list[str]:
    drawn = rows[READABLE] + rows[ANY]
    groups = {**{GROUPS[group][0]: rows[group] for group in (READABLE, ANY)}, "both": drawn}
    head = ["what is compared", *(cell for name in groups for cell in (name, "control")), "p"]
    table: list[list[str]] = []
    told: dict[bool, list[str]] = {True: [], False: []}
    for place, comparison in enumerate(COMPARISONS, start=1):
        cells = [f"{place}. {_kind(comparison)}: {comparison.question}"]
        for group in groups.values():
            found = agreement(group, comparison)
            cells += [f"{found.agree} of {found.n}", NOTHING if math.isnan(found.chance) else f"{found.chance:.1f}"]
        table.append([*cells, NOTHING if math.isnan(found.p) else small(found.p)])
        if found.n >= 2:
            told[found.p <= LUCK].append(str(place))
    return [
        COUNTED.format(shuffles=SHUFFLES, words=WORDS),
        Table(head, table).markdown(),
        "",
        f"- More often than shuffled (p ≤ {LUCK}): {_joined(told[True])}.",
        f"- Not, as far as 30 neurons can tell: {_joined(told[False])}.",
        f"- Of {len(COMPARISONS)} comparisons, chance alone would pass {LUCK * len(COMPARISONS):.1f}.",
        f"- How well the best interval tells its topic (held-out coverage − leakage, median): {_told(drawn)}; of the "
        f"known neurons {_told(rows[KNOWN_GROUP])}.",
    ]


def _told(rows: Sequence[Row]) -> str:
    found = [each for row in rows if (each := row["concepts"].get(COMPARED))]
    return f"{median(each['held_out_coverage'] - each['held_out_leakage'] for each in found):.2f}" if found else NOTHING


def _kind(comparison: Comparison) -> str:
    return "input" if comparison in INPUT else "output" if comparison in OUTPUT else "both"


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _scores(rows: dict[str, list[Row]]) -> list[str]:
    table = []
    for group, (name, _) in GROUPS.items():
        for side in ("input", "output"):
            said = [row["descriptions"][side] for row in rows[group] if side in row["descriptions"]]
            scored = [found for found in said if found["score"] is not None and found["control"] is not None]
            if scored:
                above = sum(found["score"] > found["control"] for found in scored)
                means = [signed(fmean(found[key] for found in scored), side) for key in ("score", "control")]
                what = f"{name}: description, {side} ({scored[0]['measure']})"
                table.append([what, str(len(scored)), *means, f"above its control: {above}"])
        scores = [row["graph"]["f1"] for row in rows[group] if row["graph"] and row["graph"]["f1"] is not None]
        if scores:
            half = sum(score >= 0.5 for score in scores)
            table.append(
                [f"{name}: graph (F1)", str(len(scores)), f"{fmean(scores):.2f}", NOTHING, f"at least .5: {half}"]
            )
    if not table:
        return ["The atlas that was read has neither."]
    return [SCORES, Table(["group and method", "n", "mean score", "mean control", "neurons"], table).markdown()]


def _matrix(rows: dict[str, list[Row]]) -> str:
    shown = {True: "yes", False: "no", None: ""}
    head = ["neuron", "group", *(str(place) for place in range(1, len(COMPARISONS) + 1))]
    table = [
        [row["address"], GROUPS[group][0], *(shown[of_one(row, comparison)] for comparison in COMPARISONS)]
        for group, found in rows.items()
        for row in found
    ]
    return Table(head, table).markdown()
