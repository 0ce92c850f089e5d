"""docs/results/encoder.md: tables of what was measured, beside the figures of the author's logs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.common.claim import Table
from benchmarks.common.labelled_text import Task
from benchmarks.ranges.gaussianity import LayerShape, Null
from builders.evaluation.arms import BASELINE, RANGE, WHOLE_NEURON
from builders.evaluation.report import COMPLEMENT, TARGET, EvaluationReport, Score, SpecEvaluation

AUTHORS = [
    ("AG-News, the author's log", ".973 / .973", ".707 / .374", ".980 / .885", ".716 / .379", ".981 / .954"),
]


@dataclass(frozen=True)
class Decoded:
    """A decoding mode against measured effects: Pearson r over neurons and labels; share with the same best label."""

    mode: str
    neurons: int
    texts: int
    pearson: float
    same: float


@dataclass(frozen=True)
class Found:
    """All that the page says."""

    model_id: str
    task: Task
    n_layers: int
    null: Null
    shapes: Sequence[LayerShape]
    shared: Mapping[str, float]
    reports: Mapping[str, EvaluationReport]
    decoded: Sequence[Decoded]
    n_examples: int


def report(found: Found, options: argparse.Namespace) -> str:
    """The whole page, markdown."""
    parts = [
        "# Neurons in ranges: an encoder",
        f"`python -m benchmarks.encoder.main --datasets FOLDER --train {options.train} --blocks {options.blocks} "
        f"--epochs {options.epochs} --per-concept {options.per_concept} --texts {options.texts} "
        f"--seed {options.seed}`",
        "*Neurons Speak in Ranges* (NeuronLens, arXiv 2502.06809) on a classifier, written by the script from what it "
        f"measured. The classifier is all-MiniLM-L6-v2 ({found.n_layers} blocks) with a head of "
        f"{len(found.task.concepts)} labels: pooler, head and the last {options.blocks} blocks were trained on "
        f"{options.train} AG News texts of each class for {options.epochs} epochs. Statistics: {options.per_concept} "
        "other texts of each class, right or wrong, at [CLS]. Evaluated: "
        f"{found.n_examples} texts that neither training nor statistics have seen ({options.texts} of each class).",
        "Every class is the target once: the half of the last block's neurons with the largest mean |activation| on it "
        "(the paper's rule, 50 % as in the author's logs of encoders) is set to 0 at every token, always or inside a "
        "range. Numbers are means over the classes; brackets are the least and the largest class. Confidence is the "
        "mean probability of the true label. Range: mean -+ tau std; interval: the closed interval with the largest "
        "coverage - leakage. `resid_post` is the paper's place (dimensions of the stream), `mlp_post` the MLP neurons.",
        "## In short",
        _in_short(found, options.blocks),
        "## Masking",
        *(_masking(site, each) for site, each in found.reports.items()),
        "### Beside the author's figures",
        _beside(found),
        "The author's row is from published run logs of BERT or DistilBERT (50 %, tau 2.5; which encoder is not said); "
        "the blocks of those logs were read as whole-neuron and range masking by inference.",
        "## Do classes share their salient neurons, and their ranges?",
        _overlap(found),
        "## Are the activations of a class normal?",
        _shapes(found),
        "## Do decodings say what neurons do?",
        _decodings(found),
    ]
    return "\n\n".join(parts) + "\n"


def _in_short(found: Found, trained: int) -> str:
    lines = []
    for site, each in found.reports.items():
        arms = _by_arm(each)

        def mean(arm: str, group: str, metric: str = "confidence", arms: dict = arms) -> str:
            return f"{np.mean([score.value.value for score in _scores(arms[arm], metric, group)]):.2f}"

        ways = ", ".join(
            f"{mean(arm, TARGET)} / {mean(arm, COMPLEMENT)} ({arm})"
            for arm in ("baseline", "whole neuron", "range, tau 2.5", "interval")
        )
        lines.append(
            f"- **{site}**: confidence of the target / of the other classes: {ways}. Accuracy of the other classes: "
            f"{mean('baseline', COMPLEMENT, 'accuracy')}, {mean('whole neuron', COMPLEMENT, 'accuracy')} with whole "
            f"neurons, {mean('range, tau 2.5', COMPLEMENT, 'accuracy')} with ranges."
        )
        own = [shape for shape in found.shapes if shape.site == site]
        below, last = own[:-trained], own[-trained:]
        lines.append(
            f"- {site}: pairs near normal in blocks that were not trained {_span(below)}, in the {trained} trained "
            f"ones {_span(last)}."
        )
    r = " and ".join(f"{each.pearson:.2f} ({each.mode})" for each in found.decoded)
    lines.append(f"- What neurons decode to correlates with what they do to the labels at r = {r}.")
    return "\n".join(lines)


def _span(shapes: Sequence[LayerShape]) -> str:
    shares = [shape.near for shape in shapes]
    return f"{min(shares):.2f} to {max(shares):.2f}"


def _name(evaluation: SpecEvaluation) -> str:
    source = evaluation.spec.source
    return "interval" if source["bounds"] == "interval" else f"range, tau {source['tau']:g}"


def _by_arm(report: EvaluationReport) -> dict[str, list[tuple[SpecEvaluation, str]]]:
    """Arm -> (evaluation, its arm) of each target; what does not depend on the range once a target."""
    found: dict[str, list[tuple[SpecEvaluation, str]]] = {"baseline": [], "whole neuron": []}
    first: set[str] = set()
    for evaluation in report:
        if evaluation.target not in first:
            first.add(evaluation.target)
            found["baseline"].append((evaluation, BASELINE))
            found["whole neuron"].append((evaluation, WHOLE_NEURON))
        found.setdefault(_name(evaluation), []).append((evaluation, RANGE))
    return found


def _scores(rows: Sequence[tuple[SpecEvaluation, str]], metric: str, group: str) -> list[Score]:
    return [evaluation.score(arm, metric, group) for evaluation, arm in rows]


def _cell(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} [{min(values):.3f}, {max(values):.3f}]"


def _masking(site: str, report: EvaluationReport) -> str:
    rows = []
    for name, cases in _by_arm(report).items():
        cells = [
            _cell([score.value.value for score in _scores(cases, metric, group)])
            for group in (TARGET, COMPLEMENT)
            for metric in ("accuracy", "confidence")
        ]
        rows.append([name, *cells, _selectivity(cases, name)])
    columns = ["arm", "Acc", "Conf", "CAcc", "CConf", "drop of Conf minus drop of CConf"]
    return Table(columns, rows, f"### {site}, last block").markdown()


def _selectivity(cases: Sequence[tuple[SpecEvaluation, str]], name: str) -> str:
    if name == "baseline":
        return ""
    target, others = (
        [score.drop.value for score in _scores(cases, "confidence", group)] for group in (TARGET, COMPLEMENT)
    )
    return _cell([a - b for a, b in zip(target, others, strict=True)])


def _beside(found: Found) -> str:
    rows = [list(row) for row in AUTHORS]
    for site, each in found.reports.items():
        arms = _by_arm(each)
        cells = []
        for name, group in (
            ("baseline", TARGET),
            ("whole neuron", TARGET),
            ("whole neuron", COMPLEMENT),
            ("range, tau 2.5", TARGET),
            ("range, tau 2.5", COMPLEMENT),
        ):
            pair = [
                np.mean([score.value.value for score in _scores(arms[name], metric, group)])
                for metric in ("accuracy", "confidence")
            ]
            cells.append(" / ".join(f"{value:.3f}".removeprefix("0") for value in pair))
        rows.append([f"here, {site}", *cells])
    columns = [
        "",
        "base Acc / Conf",
        "neuron Acc / Conf",
        "neuron CAcc / CConf",
        "range Acc / Conf",
        "range CAcc / CConf",
    ]
    return Table(columns, rows).markdown()


def _overlap(found: Found) -> str:
    rows = []
    for site, each in found.reports.items():
        for name, cases in _by_arm(each).items():
            if name in ("baseline", "whole neuron"):
                continue
            sources = [evaluation.spec.source for evaluation, _ in cases]
            shares = [source.get("held_out", source) for source in sources]
            coverage, leakage = ([each[key] for each in shares] for key in ("mean_coverage", "mean_leakage"))
            rows.append([site, name, _cell(coverage), _cell(leakage)])
    shared = "; ".join(f"{share:.2f} at {site}" for site, share in found.shared.items())
    words = (
        f"Two classes have in common, of the half of the last block's neurons with the largest mean |activation|: "
        f"{shared} (chance: 0.50). Coverage: share of a class's own texts inside its range, leakage: of the other "
        "classes' texts, mean over the neurons that were masked, on the texts of the statistics; of intervals on folds "
        "that they were not found on."
    )
    return words + "\n\n" + Table(["site", "range", "coverage", "leakage"], rows).markdown()


def _shapes(found: Found) -> str:
    words = (
        "A pair is one neuron on the texts of one class, at [CLS]. Medians over the pairs of a layer (5 % to 95 %); "
        f"*beyond*: share of pairs outside what 95 % of normal samples of n = {found.null.n} show, by the same code; "
        "*near*: |skewness| < 0.5 and |excess kurtosis| < 1. The paper is quoted with a kurtosis of 3.2 to 4.0, an "
        "excess of 0.2 to 1.0, and a skewness near 0."
    )
    rows = []
    for shape in found.shapes:
        cells = [
            f"{middle:.2f} ({low:.2f} to {high:.2f})"
            for low, middle, high in (shape.quantiles[name] for name in ("skewness", "kurtosis", "ks"))
        ]
        rows.append(
            [
                shape.site,
                str(shape.layer),
                str(shape.pairs),
                *cells,
                f"{shape.beyond['ks'][0]:.2f}",
                f"{shape.near:.2f}",
            ]
        )
    columns = ["site", "layer", "pairs", "skewness", "excess kurtosis", "KS distance", "KS beyond", "near"]
    return words + "\n\n" + Table(columns, rows).markdown()


def _decodings(found: Found) -> str:
    first = found.decoded[0]
    words = (
        f"{first.neurons} MLP neurons of the last block, at equal distances, each raised by 1 at every token of "
        f"{first.texts} texts: the mean change of the labels' log-probabilities, less its mean over labels, against "
        "the logits that the neuron decodes to, less theirs. `raw` is the head's last matrix alone; `linearised` the "
        "whole head around its mean state. Both leave out the norm that the block ends with."
    )
    rows = [[each.mode, f"{each.pearson:.3f}", f"{each.same:.2f}"] for each in found.decoded]
    return words + "\n\n" + Table(["mode", "Pearson r", "same most-raised label (chance .25)"], rows).markdown()
