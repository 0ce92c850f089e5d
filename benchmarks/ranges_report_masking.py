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
    """What tau 2.5 does beside the whole neuron, a sentence for each corpus, setting and protocol."""
    for task in tasks:
        for result in task.settings:
            for correct_only in (False, True):
                means = _means(task, result, correct_only, bootstrap, seed)
                texts = "texts answered correctly" if correct_only else "all texts"
                yield f"- {task.task.name}, {result.setting.name}, {texts}: {_verdict(means)}"


def _verdict(means: dict[str, ClassMean]) -> str:
    ranged, whole, chance = means[arm_name(PAPER_TAU)], means[WHOLE], means[RANDOM]
    drops = (
        f"tau {PAPER_TAU:g} takes {ranged.target_drop.value:.2f} from the target and "
        f"{ranged.complement_drop.value:.2f} from the others, the whole neuron {whole.target_drop.value:.2f} and "
        f"{whole.complement_drop.value:.2f}, random neurons {chance.target_drop.value:.2f} and "
        f"{chance.complement_drop.value:.2f}."
    )
    return f"{drops} The range {_comparison(ranged)}; {_selectivity(ranged)}."


def _comparison(ranged: ClassMean) -> str:
    if ranged.spared.low > 0:
        word = "spares the other classes"
    elif ranged.spared.high < 0:
        word = "harms the other classes more"
    else:
        word = "is not shown to spare the other classes"
    return f"{word} ({shown(ranged.spared, 2)} less drop than the whole neuron)"


def _selectivity(each: ClassMean) -> str:
    if each.gap.low > 0:
        word = "the target drops more than the others"
    elif each.gap.high < 0:
        word = "the others drop more than the target"
    else:
        word = "target and others are not shown to drop differently"
    return f"{word} (by {shown(each.gap, 2)})"


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
