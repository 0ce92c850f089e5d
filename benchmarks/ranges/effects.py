"""What arms do to held-out texts: drops of the target and of the others, and the perplexity of other text.

Axes: A rows (the baseline, then each class as the target), E texts, C classes, O other texts, R resamples (row 0:
the texts as they are).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atlas.live.model import LiveModel
from atlas.spec.document import InterventionSpec
from atlas.spec.text import spec_hash
from benchmarks.common.labelled_text import Task
from benchmarks.ranges.activations import Live
from benchmarks.ranges.masking import Outcome, accuracy, is_right, means_by_class, run, targets_of

CHUNK = 24
"""Arms between two saves."""


@dataclass(frozen=True)
class Texts:
    """Labelled texts to classify, and other texts to read."""

    task: Task
    examples: Sequence[tuple[str, str]]
    others: Sequence[str]


def outcomes(
    live: Live, specs: Mapping[str, Sequence[InterventionSpec]], texts: Texts, work: Path, name: str
) -> dict[str, Outcome]:
    """arm -> what it does, one spec for each class; read from the folder `work` where it was measured before."""
    paths = {arm: work / f"{name}-{_digest(group, texts)}.npz" for arm, group in specs.items()}
    todo = [arm for arm, path in paths.items() if not path.exists()]
    for start in range(0, len(todo), CHUNK):
        some = todo[start : start + CHUNK]
        for arm, outcome in _measured(live(), {arm: specs[arm] for arm in some}, texts).items():
            np.savez(paths[arm], **{key: value for key, value in vars(outcome).items() if key != "arms"})
    found = {}
    for arm, path in paths.items():
        with np.load(path) as kept:
            found[arm] = Outcome(arms=[(concept, arm) for concept in texts.task.concepts], **kept)
    return found


def _digest(group: Sequence[InterventionSpec], texts: Texts) -> str:
    identity = [[spec_hash(spec) for spec in group], list(texts.examples), list(texts.others), texts.task.template]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


def _measured(live: LiveModel, specs: Mapping[str, Sequence[InterventionSpec]], texts: Texts) -> dict[str, Outcome]:
    task = texts.task
    flat = {
        (concept, arm): spec for arm, group in specs.items() for concept, spec in zip(task.concepts, group, strict=True)
    }
    done = run(live, flat, texts.examples, task.concepts, task.template, texts.others)
    found = {}
    for arm in specs:
        rows = [0, *(row for row, (_, name) in enumerate(done.arms, start=1) if name == arm)]
        found[arm] = Outcome(
            [pair for pair in done.arms if pair[1] == arm],
            done.logprob_AEC[rows],
            done.gold_E,
            done.nll_AE[rows],
            done.tokens_E,
        )
    return found


@dataclass(frozen=True)
class Effect:
    """Means over the targets, [R]. Drops of accuracy are baseline minus arm; `perplexity` is arm / baseline,
    the geometric mean over the targets."""

    target: np.ndarray
    complement: np.ndarray
    perplexity: np.ndarray


def effect(outcome: Outcome, concepts: Sequence[str], correct_only: bool, bootstrap: int, seed: int) -> Effect:
    """`correct_only`: of the texts that the model without edits answers right. The same resamples for every arm."""
    keep_E = is_right(outcome, correct_only)
    gold_E = outcome.gold_E[keep_E]
    own, others = means_by_class(accuracy(outcome)[:, keep_E], gold_E, len(concepts), bootstrap, seed)
    columns = [concepts.index(name) for name in targets_of(gold_E, concepts)]
    rows = [1 + column for column in columns]
    drops = [(each[:, 0][:, columns] - each[:, rows, columns]).mean(axis=1) for each in (own, others)]
    return Effect(*drops, _perplexity(outcome, rows, bootstrap, seed))


def _perplexity(outcome: Outcome, rows: list[int], bootstrap: int, seed: int) -> np.ndarray:
    n = len(outcome.tokens_E)
    counts_RO = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), bootstrap)
    counts_RO = np.concatenate([np.ones((1, n), counts_RO.dtype), counts_RO])
    loss_RA = (counts_RO @ outcome.nll_AE.T) / (counts_RO @ outcome.tokens_E)[:, None]
    return np.exp(loss_RA[:, rows].mean(axis=1) - loss_RA[:, 0])
