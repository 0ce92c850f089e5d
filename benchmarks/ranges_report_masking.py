"""The sections on masking and on how often the gates open, and the sentences at the head of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.dataset_atlas import TAUS
from benchmarks.ranges_masking import (
    RANDOM,
    WHOLE,
    ClassMean,
    accuracy,
    arm_name,
    class_means,
    confidence,
    is_right,
    means_by_class,
    perplexities,
    targets_of,
)
from benchmarks.ranges_report_shape import table
from builders.evaluation.bootstrap import Interval, interval

if TYPE_CHECKING:
    from benchmarks.ranges import SettingResult, TaskResult

PAPER_TAU = 2.5
_PROTOCOLS = {
    False: "all held-out texts",
    True: "only texts that the unedited model answers correctly (the paper's protocol)",
}


def shown(each: Interval, digits: int = 3) -> str:
    """`value [low, high]`."""
    low, high = (f"{bound:.{digits}f}" for bound in (each.low, each.high))
    return f"{each.value:.{digits}f} [{low}, {high}]"


def verdicts(tasks: Sequence[TaskResult], bootstrap: int, seed: int) -> Iterable[str]:
    """A table of what tau 2.5 does beside the whole neuron, in both protocols, and how often it spares others."""
    rows, found = [], []
    for task in tasks:
        for result in task.settings:
            for correct_only in _PROTOCOLS:
                means = _means(task, result, correct_only, bootstrap, seed)
                ranged, whole, chance = means[arm_name(PAPER_TAU)], means[WHOLE], means[RANDOM]
                found.append(ranged)
                cells = [f"{task.task.name}, {result.setting.name}", "answered right" if correct_only else "all"]
                for name in ("target_drop", "complement_drop"):
                    cells += [f"{getattr(each, name).value:.2f}" for each in (whole, ranged, chance)]
                rows.append([*cells, shown(ranged.spared, 2), shown(ranged.gap, 2), _words(ranged)])
    tau = f"tau {PAPER_TAU:g}"
    head = ["", "texts", "target drop: whole", tau, "random", "others' drop: whole", tau, "random"]
    spared = sum(each.spared.low > 0 for each in found)
    worse = sum(each.spared.high < 0 for each in found)
    weaker = sum(each.kept.low > 0 for each in found)
    gaps = sum(each.gap.low > 0 for each in found)
    yield (
        f"Masking with {tau} against whole-neuron masking, accuracy: in {spared} of {len(found)} rows the range spares "
        f"the other classes (in {worse} it harms them more), in {weaker} it takes less from the target; in {gaps} of "
        f"{len(found)} the target drops more than the others under the range. Counted is what the 95 % interval shows."
    )
    yield ""
    yield from table(
        [*head, "spared by the range", "range: target drop - others'", f"{tau} against whole neuron"], rows
    )


def _words(ranged: ClassMean) -> str:
    others = _sign(ranged.spared, "spares the others", "harms the others more", "others: no difference shown")
    target = _sign(ranged.kept, "takes less from the target", "takes more from the target", "target: none shown")
    return f"{others}; {target}"


def _sign(each: Interval, above: str, below: str, neither: str) -> str:
    """A word for an interval above 0, below 0, or around it."""
    return above if each.low > 0 else below if each.high < 0 else neither


def masking_section(tasks: Sequence[TaskResult], bootstrap: int, seed: int, picture: str) -> list[str]:
    """Accuracy, confidence and perplexity of every arm, two protocols."""
    lines = [
        "## Whole neuron against range",
        "",
        "Accuracy: the own label word scores best of all label words. Confidence: probability of its first token over "
        "the whole vocabulary. Drop: baseline minus arm. *Spared*: by how much less the others drop than under "
        "whole-neuron masking. Perplexity: geometric mean over the targets, on text of the other corpus. The second "
        "protocol begins at an accuracy of 1 by construction: it hides what the model gets wrong without edits, and "
        "counts as damage the answers that were right by luck.",
        "",
        f"![Drops]({picture})",
        "",
    ]
    head = ["arm", "target", "others", "target drop", "others' drop", "target drop - others'", "spared"]
    for task in tasks:
        for result in task.settings:
            size = result.scores["mean_abs"].shape[1]
            lines += [f"### {task.task.name}, {result.setting.name}: {result.n_neurons} of {size} neurons", ""]
            for correct_only, protocol in _PROTOCOLS.items():
                keep_E = is_right(result.outcome, correct_only)
                lines += [f"Accuracy, {protocol}: {_sizes(task, result, keep_E)}.", ""]
                means = _means(task, result, correct_only, bootstrap, seed)
                lines += table(head, [_row(arm, each) for arm, each in means.items()])
            lines += ["Confidence and perplexity, all held-out texts.", ""]
            lines += table([*head, "perplexity"], _confidence_rows(task, result, bootstrap, seed))
    return lines


def baseline(task: TaskResult, bootstrap: int, seed: int) -> str:
    """Accuracy without edits, mean over the classes, on the most texts there are."""
    most = max(task.settings, key=lambda result: len(result.outcome.gold_E))
    return shown(_means(task, most, False, bootstrap, seed)["baseline"].target, 2)


def _confidence_rows(task: TaskResult, result: SettingResult, bootstrap: int, seed: int) -> Iterable[list[str]]:
    outcome, concepts = result.outcome, task.task.concepts
    everything_E = np.ones(len(outcome.gold_E), dtype=bool)
    means = class_means(outcome, confidence(outcome), everything_E, concepts, bootstrap, seed)
    read = perplexities(outcome, bootstrap, seed)
    for arm, each in means.items():
        numbers = (read[arm].value, read[arm].low, read[arm].high)
        yield [*_row(arm, each), "{:.4g} [{:.4g}, {:.4g}]".format(*numbers)]


def _row(arm: str, each: ClassMean) -> list[str]:
    if arm == "baseline":
        return [arm, shown(each.target), shown(each.complement), "", "", "", ""]
    drops = [shown(value) for value in (each.target_drop, each.complement_drop, each.gap)]
    ranged = arm not in (WHOLE, RANDOM)
    return [arm, shown(each.target), shown(each.complement), *drops, shown(each.spared) if ranged else ""]


def _sizes(task: TaskResult, result: SettingResult, keep_E: np.ndarray) -> str:
    gold_E = result.outcome.gold_E[keep_E]
    counts = ", ".join(f"{name} {(gold_E == number).sum()}" for number, name in enumerate(task.task.concepts))
    targets = targets_of(gold_E, task.task.concepts)
    left_out = [name for name in task.task.concepts if name not in targets]
    return f"n = {len(gold_E)} ({counts})" + (f"; no target: {', '.join(left_out)}" if left_out else "")


def _means(
    task: TaskResult, result: SettingResult, correct_only: bool, bootstrap: int, seed: int
) -> dict[str, ClassMean]:
    outcome = result.outcome
    keep_E = is_right(outcome, correct_only)
    return class_means(outcome, accuracy(outcome), keep_E, task.task.concepts, bootstrap, seed)


def gate_section(tasks: Sequence[TaskResult], bootstrap: int, seed: int) -> list[str]:
    """Shares of salient neurons inside the ranges, on own and on other texts."""
    lines = [
        "## How often are the gates open?",
        "",
        "Share of the salient neurons whose activation lies inside the range of the class, in the model without "
        "edits: on texts of the class (coverage) and on texts of all other classes (leakage); means over the classes. "
        "A range that told classes apart would be open on the former and shut on the latter. *Atlas*: on the texts of "
        "the statistics, at the last token, as the atlas counts it. The others are on the evaluated texts.",
        "",
    ]
    head = ["setting", "tau"]
    for where in ("atlas", "last token", "all tokens"):
        head += [f"coverage, {where}", f"leakage, {where}"]
    for task in tasks:
        rows = []
        for result in task.settings:
            gold_E = result.outcome.gold_E
            for tau in TAUS:
                measured = np.mean(
                    [values for (_, arm), values in result.measured.items() if arm == arm_name(tau)], axis=0
                )
                cells = [f"{value:.3f}" for value in measured]
                for share_AE in (result.firing_last_AE, result.firing_all_AE):
                    cells += map(shown, open_shares(result, share_AE, arm_name(tau), task, bootstrap, seed))
                rows.append([f"{result.setting.name} (n = {len(gold_E)})", f"{tau:g}", *cells])
        lines += [f"### {task.task.name}", "", *table(head, rows)]
    return lines


def open_shares(
    result: SettingResult, share_AE: np.ndarray, arm: str, task: TaskResult, bootstrap: int, seed: int
) -> tuple[Interval, Interval]:
    """(coverage, leakage) of an arm: means over the targets."""
    concepts = task.task.concepts
    own_RAC, others_RAC = means_by_class(share_AE, result.outcome.gold_E, len(concepts), bootstrap, seed)
    rows = [row for row, (_, name) in enumerate(result.gates) if name == arm]
    columns = [concepts.index(target) for target, name in result.gates if name == arm]
    return tuple(interval(table_RAC[:, rows, columns].mean(axis=1)) for table_RAC in (own_RAC, others_RAC))


def gate_words(tasks: Sequence[TaskResult], bootstrap: int, seed: int) -> Iterable[str]:
    """A sentence for each corpus and setting: how open the gates of tau 2.5 are."""
    for task in tasks:
        for result in task.settings:
            own, others = open_shares(result, result.firing_last_AE, arm_name(PAPER_TAU), task, bootstrap, seed)
            yield (
                f"- {task.task.name}, {result.setting.name}, tau {PAPER_TAU:g}, last token: open on {shown(own, 2)} of "
                f"the own texts and on {shown(others, 2)} of the others."
            )
