"""docs/results/ranges.md: tables of what was measured, and sentences that follow from the numbers alone."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from benchmarks.common.dataset_atlas import TAUS
from benchmarks.ranges.masking import MIN_TEXTS, TOP
from benchmarks.ranges.report_masking import (
    baseline,
    gate_section,
    gate_words,
    masking_section,
    perplexity_words,
    verdicts,
)
from benchmarks.ranges.report_shape import layer_tables, overlap_section, overlap_words, shape_section, shape_words

if TYPE_CHECKING:
    from benchmarks.ranges.found import TaskResult


def report(tasks: Sequence[TaskResult], options: argparse.Namespace, picture: str) -> str:
    """The whole page, markdown."""
    lines = [
        "# Do neurons speak in ranges?",
        "",
        f"`python -m benchmarks.ranges.main --datasets FOLDER --per-concept {options.per_concept} "
        f"--texts {options.texts} --texts-last {options.texts_last} --other {options.other} "
        f"--bootstrap {options.bootstrap} --seed {options.seed} --model {options.model}`",
        "",
        "The experiments of *Neurons Speak in Ranges* (NeuronLens, arXiv 2502.06809) on "
        f"`{tasks[0].model_id}`, written by the script from what it measured. The paper used fine-tuned GPT-2 and "
        "few-shot Llama-3.2-3B; here the model is small, quantised to 4 bits, not fine-tuned, and answers zero-shot.",
        "",
        *_set_up(tasks, options),
        "",
        "## In short",
        "",
        *verdicts(tasks, options.bootstrap, options.seed),
        *gate_words(tasks, options.bootstrap, options.seed),
        *perplexity_words(tasks, options.bootstrap, options.seed),
        *overlap_words(tasks),
        *shape_words(tasks),
        "",
        *shape_section(tasks),
        *overlap_section(tasks),
        *masking_section(tasks, options.bootstrap, options.seed, picture),
        *gate_section(tasks, options.bootstrap, options.seed),
        *layer_tables(tasks),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _set_up(tasks: Sequence[TaskResult], options: argparse.Namespace) -> Iterable[str]:
    for each in tasks:
        texts = ", ".join(f"{len(result.outcome.gold_E)} for {result.setting.name}" for result in each.settings)
        right = baseline(each, options.bootstrap, options.seed)
        yield (
            f"- **{each.task.name}**: {len(each.task.concepts)} classes ({', '.join(each.task.concepts)}), template "
            f"`{each.task.template.encode('unicode_escape').decode()}`. Statistics: {each.per_concept} texts of each "
            f"class, right or wrong, last token. Evaluated: as many of each class, {texts}; none of them is in the "
            f"atlas's list of texts that its statistics used (`fit_example`), and nothing is chosen on them here. "
            f"Perplexity: {each.n_other} texts of {each.other}, without a template. Without edits the model answers "
            f"{right} of the texts of a class right (chance {1 / len(each.task.concepts):.2f})."
        )
    yield (
        f"- Salient neurons: the {TOP} of a setting's neurons with the largest mean |activation| on the class (the "
        f"paper's rule). Masking sets them to 0 at every token, always (whole neuron) or only inside mean -+ tau std, "
        f"tau {', '.join(f'{tau:g}' for tau in TAUS)}. Random neurons: as many, drawn once, always 0."
    )
    yield (
        "- Every class is the target once; numbers are means over the classes. Brackets are 95 % bootstrap intervals "
        "over the texts (drawn within each class, the same for all arms, so that differences are paired). The classes "
        f"themselves are few and were not resampled. A class with fewer than {MIN_TEXTS} texts is no target."
    )
