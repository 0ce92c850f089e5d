"""The sections on masking and on how often the gates open, and the sentences at the head of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common.dataset_atlas import TAUS
from benchmarks.ranges.masking import (
    RANDOM,
    WHOLE,
    ClassMean,
    accuracy,
    arm_name,
    class_means,
    confidence,
    is_right,
    label_confidence,
    means_by_class,
    perplexities,
    targets_of,
)
from benchmarks.ranges.report_shape import table
from builders.evaluation.bootstrap import Interval, interval

if TYPE_CHECKING:
    from benchmarks.ranges.found import SettingResult, TaskResult

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
    tau = f"tau {PAPER_TAU:g}"
    arms = {"whole neuron": WHOLE, "tau 1": arm_name(1), tau: arm_name(PAPER_TAU), "random neurons": RANDOM}
    rows, found = [], []
    for task in tasks:
        for result in task.settings:
            for correct_only in _PROTOCOLS:
                means = _means(task, result, correct_only, bootstrap, seed)
                drops = [
                    f"{means[arm].target_drop.value:.2f} / {means[arm].complement_drop.value:.2f}"
                    for arm in arms.values()
                ]
                ranged = means[arm_name(PAPER_TAU)]
                found.append(ranged)
                what = [f"{task.task.name}, {result.setting.name}", "answered right" if correct_only else "all"]
                rows.append([*what, *drops, shown(ranged.spared, 2), shown(ranged.gap, 2), _words(ranged)])
    spared, worse = (sum(test(each.spared) for each in found) for test in (_above, _below))
    weaker, gaps = sum(_above(each.kept) for each in found), sum(_above(each.gap) for each in found)
    yield (
        f"{tau.capitalize()} against whole-neuron masking, accuracy ({len(found) // 2} settings in two protocols that "
        f"share texts): in {spared} of {len(found)} rows the range spares the other classes (in {worse} it harms them "
        f"more), in {weaker} it takes less from the target; in {gaps} of {len(found)} the target drops more than the "
        "others under the range. Counted is what the 95 % interval shows. "
        "Cells: drop of the target / drop of the others."
    )
    yield ""
    head = ["", "texts", *arms, f"spared by {tau}", f"{tau}: target drop - others'", f"{tau} against whole neuron"]
    yield from table(head, rows)


def _words(ranged: ClassMean) -> str:
    others = _sign(ranged.spared, "spares the others", "harms the others more", "others: no difference shown")
    target = _sign(
        ranged.kept, "takes less from the target", "takes more from the target", "target: no difference shown"
    )
    return f"{others}; {target}"


def _sign(each: Interval, above: str, below: str, neither: str) -> str:
    return above if _above(each) else below if _below(each) else neither


def _above(each: Interval) -> bool:
    return each.low > 0


def _below(each: Interval) -> bool:
    return each.high < 0


def perplexity_words(tasks: Sequence[TaskResult], bootstrap: int, seed: int) -> Iterable[str]:
    """A sentence for each corpus and setting."""
    for task in tasks:
        for result in task.settings:
            read = perplexities(result.outcome, bootstrap, seed)
            arms = ("baseline", WHOLE, arm_name(PAPER_TAU), RANDOM)
            numbers = ", ".join(f"{arm} {_rounded(read[arm])}" for arm in arms)
            yield f"- {task.task.name}, {result.setting.name}: perplexity of {task.other}: {numbers}."


def _rounded(each: Interval) -> str:
    return f"{each.value:.3g} [{each.low:.3g}, {each.high:.3g}]"


def masking_section(tasks: Sequence[TaskResult], bootstrap: int, seed: int, picture: str) -> list[str]:
    """Accuracy, confidence and perplexity of every arm, two protocols."""
    lines = [
        "## Whole neuron against range",
        "",
        "Accuracy: the own label word scores best of all label words. Confidence over the vocabulary (the paper's): "
        "probability of its first token, which without few-shot examples is small from the start. Confidence among the "
        "labels: its share of what all label words have. Drop: baseline minus arm. *Spared*: by how much less the "
        "others drop than under whole-neuron masking. Perplexity: geometric mean over the targets, on text of the "
        "other corpus. The second protocol begins at an accuracy of 1 by construction: it hides what the model gets "
        "wrong without edits, and counts as damage the answers that were right by luck.",
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
            lines += [
                "Confidence among the labels, all held-out texts; confidence over the vocabulary; perplexity.",
                "",
            ]
            more = ["vocabulary: target", "vocabulary: others", "perplexity"]
            lines += table([*head, *more], _confidence_rows(task, result, bootstrap, seed))
    return lines


def baseline(task: TaskResult, bootstrap: int, seed: int) -> str:
    """Accuracy without edits, mean over the classes, on the most texts there are."""
    most = max(task.settings, key=lambda result: len(result.outcome.gold_E))
    return shown(_means(task, most, False, bootstrap, seed)["baseline"].target, 2)


def _confidence_rows(task: TaskResult, result: SettingResult, bootstrap: int, seed: int) -> Iterable[list[str]]:
    outcome = result.outcome
    everything_E = np.ones(len(outcome.gold_E), dtype=bool)
    among_labels, among_all = (
        class_means(outcome, values_AE, everything_E, task.task.concepts, bootstrap, seed)
        for values_AE in (label_confidence(outcome), confidence(outcome))
    )
    read = perplexities(outcome, bootstrap, seed)
    for arm, each in among_labels.items():
        own, others = (shown(value, 4) for value in (among_all[arm].target, among_all[arm].complement))
        yield [*_row(arm, each), own, others, _rounded(read[arm])]


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
