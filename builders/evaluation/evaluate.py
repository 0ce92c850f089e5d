"""Evaluation of specs: what each does to its target class, to all other classes, and to other text.

The method is that of the NeuronLens code (arXiv 2502.06809): classification by label words, accuracy and
confidence on the target class and on its complement, perplexity elsewhere. Every arm is measured on the same
texts, with bootstrap intervals. docs/evaluation.md describes it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from atlas.errors import UnknownNameError, UsageError
from atlas.live.model import LiveModel
from atlas.manifest import utc_now
from atlas.spec.document import InterventionSpec
from atlas.spec.text import spec_hash
from builders.evaluation.arms import BASELINE, Arm, arms_of
from builders.evaluation.compare import Group, compare
from builders.evaluation.edited import DEFAULT_BUDGET, Budget
from builders.evaluation.harness.scores import ability, run_tasks
from builders.evaluation.harness.tasks import HarnessTasks
from builders.evaluation.label_words import LabelWords
from builders.evaluation.metrics.base import CLASSIFICATION, Classified, Read
from builders.evaluation.prompts import Example
from builders.evaluation.report import COMPLEMENT, OTHER, TARGET, EvaluationReport, SpecEvaluation
from builders.evaluation.ways import way_of
from builders.progress import Silent


def evaluate(
    live: LiveModel,
    specs: Sequence[InterventionSpec],
    examples: Sequence[Example],
    *,
    labels: Mapping[str, str],
    template: str,
    targets: str | Sequence[str] | None = None,
    shots: Sequence[Example] = (),
    other_texts: Sequence[str] = (),
    harness: HarnessTasks | None = None,
    whole_neuron: bool = True,
    bootstrap: int = 1000,
    seed: int = 0,
    max_tokens: int = 512,
    budget: Budget = DEFAULT_BUDGET,
    override_model: bool = False,
    progress: Silent | None = None,
) -> EvaluationReport:
    """Measure every spec on `examples` (text, concept) and on `other_texts`.

    `labels`: concept -> label word, taken literally (" sports"); `template` holds {text} once; `shots` are
    few-shot examples. `targets`: the class each spec aims at, one for all or one a spec; None takes it from
    the specs' `source`. `harness`: tasks (load_tasks) that every arm also runs. `whole_neuron`: also run each
    spec with ranges without them. The caller sees to it that the examples are not those the specs' statistics
    were made of. `seed` decides the resamples, and what the tasks draw.

    A masked language model is asked for the label word at the mask of `template`, and has a pseudo-perplexity; a
    classifier for its own labels, which `labels` name, and has none.

    Arms that are the same edits are run once. Raises UsageError, UnknownNameError or SpecError before
    anything runs; see make_prompts and intervene.
    """
    started_at, clock, progress = utc_now(), time.monotonic(), progress or Silent()
    if not examples:
        raise UsageError("there is no text to evaluate on")
    if any(spec.tokenization.chat_template for spec in specs):
        raise UsageError("a spec for chat templates cannot be evaluated", "Texts are put into --template alone.")
    aims = _targets(specs, targets, labels)
    way = way_of(live)
    if harness is not None:
        live.require_generation("--lm-eval")
    prompts = way.make_prompts(live, examples, labels, template, shots, max_tokens)
    texts, n_cut, n_short = way.texts(live, other_texts, max_tokens)

    arms = [arms_of(spec, whole_neuron) for spec in specs]
    runs = _distinct(arms)
    edits = [arm.spec for arm in runs.values()]
    options = {"budget": budget, "override_model": override_model}
    with progress.task("classification", len(edits) * len(examples)) as advance:
        asked = {"advance": advance, **options}
        logprob_AEC, words = way.scores(live, prompts, labels, template, edits, **asked)
    with progress.task("perplexity", len(edits) * len(texts)) as advance:
        nll_AE = way.losses(live, texts, edits, advance=advance, **options)
    outcomes = []
    if harness is not None:
        with progress.task("lm-eval", len(edits)) as advance:
            for edit in edits:
                outcomes.append(run_tasks(live, harness, edit, seed=seed, **options))
                advance(1)

    numbers_of = way.numbers(prompts)
    gold_E = np.array(prompts.gold)
    tokens_E = np.array([way.n_predicted(live, ids) for ids in texts], dtype=np.int64)
    place = {key: number for number, key in enumerate(runs)}
    evaluations = []
    for spec, own, aim in zip(specs, arms, aims, strict=True):
        mine = [Arm(BASELINE, None), *own]
        numbers = [place[_key(arm)] for arm in mine]
        inside_E = gold_E == numbers_of[aim]
        groups = [
            Group(name, CLASSIFICATION, [Classified(logprob_AEC[number][rows_E], gold_E[rows_E]) for number in numbers])
            for name, rows_E in ((TARGET, inside_E), (COMPLEMENT, ~inside_E))
        ]
        groups.append(Group(OTHER, way.of_texts, [Read(nll_AE[number], tokens_E) for number in numbers]))
        names = [arm.name for arm in mine]
        scores = compare(names, groups, bootstrap, seed)
        if outcomes:
            scores += ability(names, [outcomes[number] for number in numbers], bootstrap, seed)
        evaluations.append(SpecEvaluation(spec, spec_hash(spec), aim, scores))
    return EvaluationReport(
        evaluations=evaluations,
        concepts=prompts.concepts,
        labels=dict(labels),
        label_words=words,
        template=template,
        n_shots=len(shots),
        seed=seed,
        bootstrap=bootstrap,
        n_used=len(examples),
        n_other=len(texts),
        started_at=started_at,
        seconds=time.monotonic() - clock,
        notes=_notes(words, harness, prompts.n_cut + n_cut, max_tokens, n_short, specs),
    )


def _targets(
    specs: Sequence[InterventionSpec], targets: str | Sequence[str] | None, labels: Mapping[str, str]
) -> list[str]:
    if targets is None:
        aims = [spec.source.get("concept") for spec in specs]
    else:
        aims = [targets] * len(specs) if isinstance(targets, str) else list(targets)
    if len(aims) != len(specs):
        raise UsageError(f"{len(aims)} targets for {len(specs)} specs", "Give one, or one for each.")
    for aim in aims:
        if not isinstance(aim, str):
            raise UsageError("the spec's source names no concept", "Say which class it aims at: --target CONCEPT.")
        if aim not in labels:
            raise UnknownNameError("target concept", aim, labels)
    return aims


def _key(arm: Arm) -> str:
    return "" if arm.spec is None else spec_hash(arm.spec)


def _distinct(arms: Sequence[Sequence[Arm]]) -> dict[str, Arm]:
    """Every different set of edits once, the baseline first."""
    runs = {"": Arm(BASELINE, None)}
    for own in arms:
        for arm in own:
            runs.setdefault(_key(arm), arm)
    return runs


def _notes(
    words: LabelWords,
    harness: HarnessTasks | None,
    n_cut: int,
    max_tokens: int,
    n_short: int,
    specs: Sequence[InterventionSpec],
) -> list[str]:
    notes = [] if harness is None else [harness.note()]
    if (little := words.note()) is not None:
        notes.append(little)
    if n_cut:
        notes.append(f"{n_cut} texts were cut to {max_tokens} tokens")
    if n_short:
        notes.append(f"{n_short} other texts have no token to predict, so no perplexity")
    if any(spec.phase == "generated" for spec in specs):
        notes.append("edits of phase generated do nothing in a classification, where every token is prompt")
    return notes
