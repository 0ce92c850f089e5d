"""The sections on the shape of the activations and on shared neurons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from benchmarks.ranges.gaussianity import MEASURES, LayerShape
from benchmarks.ranges.overlap import RULES, SHARES, agreement, common, salient

if TYPE_CHECKING:
    from benchmarks.ranges.found import TaskResult

_NAMES = {"skewness": "skewness", "kurtosis": "excess kurtosis", "ks": "KS distance"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A markdown table and an empty line."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


def shape_section(tasks: Sequence[TaskResult]) -> list[str]:
    """Summary over the layers; the layers themselves are in layer_tables."""
    rows = []
    for task in tasks:
        rows.append(_null_row(task))
        for site in sorted({shape.site for shape in task.shapes}, reverse=True):
            shapes = [shape for shape in task.shapes if shape.site == site]
            spans = []
            for name in MEASURES:
                middles = [shape.quantiles[name][1] for shape in shapes]
                shares = [shape.beyond[name][0] for shape in shapes]
                spans += [f"{min(middles):.3f} to {max(middles):.3f}", f"{min(shares):.2f} to {max(shares):.2f}"]
            near = [shape.near for shape in shapes]
            pairs = sum(shape.pairs for shape in shapes)
            rows.append([task.task.name, site, f"{pairs:,}", *spans, f"{min(near):.2f} to {max(near):.2f}"])
    head = ["corpus", "site", "pairs"]
    for name in MEASURES:
        head += [f"{_NAMES[name]}, median of a layer", "share beyond"]
    return [
        "## Are the activations of a class normal?",
        "",
        "One pair is one neuron on the texts of one class, at the last token. A layer's median is over its pairs; what "
        "is shown is the smallest and the largest layer. *Share beyond*: pairs outside what 95 % of normal samples of "
        "the same n show, which go through the same code (the control: its own share is 0.05 by construction). "
        "*Near*: |skewness| < 0.5 and |excess kurtosis| < 1. Neurons are all counted, not sampled; what the n texts "
        "leave uncertain is what the control's spread shows. Excess kurtosis is kurtosis - 3.",
        "",
        *table([*head, "near"], rows),
    ]


def _null_row(task: TaskResult) -> list[str]:
    null = task.null
    cells = []
    for name in MEASURES:
        low, middle, high = null.quantiles[name]
        cells += [f"{middle:.3f} (5 to 95 %: {low:.3f} to {high:.3f})", "0.05"]
    return [task.task.name, f"normal samples, n = {null.n}", f"{null.samples:,}", *cells, ""]


def shape_words(tasks: Sequence[TaskResult]) -> Iterable[str]:
    """A sentence for each corpus and site, over all its layers."""
    for task in tasks:
        for site in sorted({shape.site for shape in task.shapes}, reverse=True):
            shapes = [shape for shape in task.shapes if shape.site == site]
            pairs = sum(shape.pairs for shape in shapes)
            beyond = sum(shape.beyond["ks"][0] * shape.pairs for shape in shapes) / pairs
            near = sum(shape.near * shape.pairs for shape in shapes) / pairs
            excess = sum(shape.quantiles["kurtosis"][1] for shape in shapes) / len(shapes)
            word = (
                "are normal as far as this n can tell"
                if beyond < 0.1
                else "are mostly near normal, and often measurably not normal"
                if near > 0.5
                else "are mostly far from normal"
            )
            yield (
                f"- {task.task.name}, {site}: the activations {word}: {beyond:.0%} of the pairs fail the KS "
                f"comparison (5 % would by chance), {near:.0%} are near normal; the layers' median kurtosis is "
                f"{3 + excess:.2f} on average (quoted from the paper: 3.2 to 4.0)."
            )


def overlap_words(tasks: Sequence[TaskResult], share: float = 0.3) -> Iterable[str]:
    """A sentence for each corpus and setting: two classes, beside chance and beside the same class."""
    for task in tasks:
        for result in task.settings:
            parts = []
            for rule in RULES:
                chosen_CN = salient(result.scores[rule], share)
                same = agreement(chosen_CN, salient(result.fresh_scores[rule], share))
                parts.append(f"{common(chosen_CN, 2)[0]:.2f} by {rule} (same class on other texts: {same:.2f})")
            yield (
                f"- {task.task.name}, {result.setting.name}: two classes have in common, of the {share:.0%} most "
                f"salient neurons, {' and '.join(parts)}; by chance {share:.2f}."
            )


def layer_tables(tasks: Sequence[TaskResult]) -> list[str]:
    """Every layer: median and 5 to 95 % of the pairs, and shares beyond the control."""
    lines = [
        "## Every layer",
        "",
        "Median (5 % to 95 %) over the pairs of a neuron and a class; then the share beyond the control, in brackets "
        "the least and the largest share of a class.",
        "",
    ]
    head = ["layer", "pairs", *(_NAMES[name] for name in MEASURES), *(f"{_NAMES[name]}: beyond" for name in MEASURES)]
    for task in tasks:
        for site in sorted({shape.site for shape in task.shapes}, reverse=True):
            own = [shape for shape in task.shapes if shape.site == site]
            lines += [f"### {task.task.name}, {site}", "", *table(head, map(_layer_row, own))]
    return lines


def _layer_row(shape: LayerShape) -> list[str]:
    cells = [f"{middle:.3f} ({low:.3f} to {high:.3f})" for low, middle, high in map(shape.quantiles.get, MEASURES)]
    shares = [f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in map(shape.beyond.get, MEASURES)]
    return [str(shape.layer), str(shape.pairs), *cells, *shares]


def overlap_section(tasks: Sequence[TaskResult]) -> list[str]:
    """Shares common to k classes beside chance and beside the same class on other texts."""
    lines = [
        "## Do classes share their salient neurons?",
        "",
        "Share of a class's salient neurons that are also salient for the k - 1 other classes of a group: mean over "
        "all groups of k classes, in brackets the least and the largest group. *Chance*: p^(k - 1), were each class to "
        "choose a share p on its own. *Same class, other texts*: what the sets of the same class have in common when "
        "the second is made of the evaluated texts; less than that is no difference between classes but noise of the "
        "texts (those sets are made of fewer texts, so the true limit lies higher). All neurons are counted.",
        "",
    ]
    for task in tasks:
        n_concepts = len(task.task.concepts)
        head = ["setting", "rule", "share", *(f"k = {k}" for k in range(2, n_concepts + 1)), "same class, other texts"]
        rows = []
        for result in task.settings:
            for rule in RULES:
                for share in SHARES:
                    chosen_CN = salient(result.scores[rule], share)
                    fresh_CN = salient(result.fresh_scores[rule], share)
                    cells = ["{:.3f} [{:.3f}, {:.3f}]".format(*common(chosen_CN, k)) for k in range(2, n_concepts + 1)]
                    name = f"{result.setting.name} ({chosen_CN.shape[1]} neurons)"
                    rows.append([name, rule, f"{share:.0%}", *cells, f"{agreement(chosen_CN, fresh_CN):.3f}"])
        for share in SHARES:
            chance = [f"{share ** (k - 1):.4f}" for k in range(2, n_concepts + 1)]
            rows.append(["*chance*", "", f"{share:.0%}", *chance, ""])
        lines += [f"### {task.task.name}, {task.per_concept} texts a class", "", *table(head, rows)]
    return lines
