"""Tasks of the harness run under several arms, and their metrics as Scores beside those of our own texts."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from typing import Any

import numpy as np
import torch

from atlas.errors import AtlasError, CorpusError, QuestionError
from atlas.live.harness_model import EditedModel
from atlas.live.model import LiveModel
from atlas.silence import silence
from builders.evaluation.bootstrap import Interval, interval, resampled_sums
from builders.evaluation.edited import Budget, Edits
from builders.evaluation.harness.tasks import TALKATIVE, HarnessTasks, problem_of
from builders.evaluation.report import Score

GROUP = "lm-eval:"
"""A task's texts are the group of this and its name."""


@dataclass(frozen=True)
class Measured:
    """A metric of a task under one arm.

    `parts_EP`: what each of E texts adds to numerator and denominator (P = 2), where the metric is `finish` of
    their quotient; None where it is another function of the texts, or a mean over tasks.
    """

    value: float
    n: int
    parts_EP: np.ndarray | None = None
    finish: Callable[[np.ndarray], np.ndarray] = np.asarray


Outcome = dict[tuple[str, str], Measured]
"""(task or group of tasks, metric) -> what was measured."""


def run_tasks(
    live: LiveModel, tasks: HarnessTasks, spec: Edits, *, budget: Budget, override_model: bool, seed: int
) -> Outcome:
    """Every metric of every task under the edits of `spec`; `seed` decides few-shot examples and sampling.

    Raises CorpusError where a task cannot be run, and what passes under edits raise.
    """
    from lm_eval.evaluator import evaluate

    random.seed(seed)
    np.random.seed(seed)  # tasks draw from it
    torch.manual_seed(seed)
    for task in tasks.loaded["tasks"].values():
        task.set_fewshot_seed(seed)
    try:
        with silence(*TALKATIVE), torch.inference_mode():
            model = EditedModel(live, spec, budget.batch_tokens, override_model).harness
            found = evaluate(model, tasks.loaded, limit=tasks.limit, bootstrap_iters=0, log_samples=True)
    except AtlasError:
        raise
    except Exception as error:  # templates and functions of the tasks run here
        names = ",".join(tasks.loaded["tasks"])
        raise CorpusError(
            f"the lm-eval tasks {names} cannot be run: {problem_of(error)}", "Check their YAML files and their texts."
        ) from error
    return _outcome(found, tasks)


def ability(arms: Sequence[str], outcomes: Sequence[Outcome], bootstrap: int, seed: int) -> list[Score]:
    """The scores of the arms, of which the first is the baseline; intervals are paired, as those of `compare`."""
    scores = []
    for task, metric in outcomes[0]:
        measured = [outcome[task, metric] for outcome in outcomes]
        values_RA = _resampled(measured, bootstrap, seed ^ zlib.crc32(task.encode()))
        for a, (arm, one) in enumerate(zip(arms, measured, strict=True)):
            value = _interval(one.value, None if values_RA is None else values_RA[:, a])
            by = measured[0].value - one.value
            drop = _interval(by, None if values_RA is None else values_RA[:, 0] - values_RA[:, a])
            scores.append(Score(arm, metric, GROUP + task, value, drop if a else None, one.n))
    return scores


def _interval(value: float, resampled_R: np.ndarray | None) -> Interval:
    if resampled_R is None:
        return Interval(value, None, None)
    found = interval(resampled_R)
    return Interval(value, found.low, found.high)


def _resampled(measured: Sequence[Measured], bootstrap: int, seed: int) -> np.ndarray | None:
    """[1 + resamples, arms]: the metric on the texts and on their resamples; None where it is no ratio of sums."""
    parts = [one.parts_EP for one in measured if one.parts_EP is not None]
    if len(parts) < len(measured) or len({len(each) for each in parts}) > 1:
        return None
    sums_RK = resampled_sums(np.concatenate(parts, axis=1), bootstrap, seed)
    sums_RAP = sums_RK.reshape(len(sums_RK), len(measured), 2)
    return measured[0].finish(sums_RAP[..., 0] / sums_RAP[..., 1])


def _outcome(found: dict[str, Any], tasks: HarnessTasks) -> Outcome:
    outcome: Outcome = {}
    for name, results in found["results"].items():
        task = tasks.loaded["tasks"].get(name)
        for key, value in results.items():
            metric, comma, kept = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            if not isfinite(value):
                raise QuestionError(f"{metric} of the lm-eval task {name} is no finite number", "Use smaller values.")
            known = Measured(float(value), int(results.get("sample_len", 0)))
            if task is not None:
                items = [each[metric] for each in found["samples"][name] if each["filter"] == kept and metric in each]
                known = _of_texts(float(value), items, task.aggregation().get(metric))
            outcome[name, metric if kept == "none" else key] = known
    if not outcome:
        raise CorpusError(f"the lm-eval tasks {','.join(found['results'])} have no metric that is a number")
    return outcome


def _of_texts(value: float, items: Sequence[Any], aggregation: Callable[..., Any] | None) -> Measured:
    """The metric with what each text adds to it, where the harness's way of adding up is one that we know."""
    from lm_eval.api.metrics import bits_per_byte, mean, perplexity, weighted_perplexity

    ways: dict[Any, Callable[[np.ndarray], np.ndarray]] = {
        mean: np.asarray,
        perplexity: lambda ratio: np.exp(-ratio),
        weighted_perplexity: lambda ratio: np.exp(-ratio),
        bits_per_byte: lambda ratio: -ratio / np.log(2),
    }
    if aggregation not in ways:
        return Measured(value, len(items))
    try:
        parts_EP = np.array([item if isinstance(item, tuple) else (item, 1) for item in items], dtype=np.float64)
    except (TypeError, ValueError):
        return Measured(value, len(items))
    finish = ways[aggregation]
    sums_P = parts_EP.sum(axis=0)
    # The value is the harness's own; where ours is another, ours says nothing of how sure it is.
    if not isclose(float(finish(sums_P[0] / sums_P[1])), value, rel_tol=1e-6, abs_tol=1e-9):
        return Measured(value, len(items))
    return Measured(value, len(items), parts_EP, finish)
