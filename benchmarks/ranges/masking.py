"""Whole-neuron masking against range masking: the arms, what each makes of every text, and means over the classes.

Every class is the target once. Its salient neurons (the paper's rule: mean |activation|, top 30 %) are set to 0 at
every position, always or only inside mean -+ tau std of the class.

Axes: A arms, E texts, C classes, R resamples (row 0: the texts as they are).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from atlas.fit_choice import FitChoice
from atlas.live.batching import encode
from atlas.live.model import LiveModel
from atlas.manifest import Manifest
from atlas.sites import format_neuron
from atlas.sites import site as site_of
from atlas.spec.document import InterventionSpec
from atlas.store.reader import Atlas
from benchmarks.common.dataset_atlas import TAUS
from builders.evaluation.bootstrap import Interval, interval
from builders.evaluation.prompts import make_prompts
from builders.evaluation.scoring import label_log_probs, text_losses
from queries.specs.make_spec import make_spec

TOP = "30%"
WHOLE, RANDOM = "whole neuron", "random neurons"
MIN_TEXTS = 5
"""A class with fewer texts is no target: its accuracy would say nothing."""


@dataclass(frozen=True)
class Setting:
    """Where the neurons are: a site and the layers that the share is taken of."""

    site: str
    layers: range

    @property
    def name(self) -> str:
        first, last = self.layers[0], self.layers[-1]
        return f"{self.site} L{first}" if first == last else f"{self.site} L{first}-{last}"


def settings(n_layers: int) -> list[Setting]:
    """The paper's setting (last block), a block in the middle, and the MLP neurons of the upper three fifths."""
    last, middle = n_layers - 1, n_layers // 2
    return [
        Setting("resid_post", range(last, n_layers)),
        Setting("resid_post", range(middle, middle + 1)),
        Setting("mlp_post", range(2 * n_layers // 5, n_layers)),
    ]


def arm_name(tau: float | None) -> str:
    return WHOLE if tau is None else f"range, tau {tau:g}"


def specs_of(atlas: Atlas, setting: Setting, concepts: Sequence[str]) -> dict[tuple[str, str], InterventionSpec]:
    """(target, arm) -> spec, for every class whole-neuron and each tau; beside them one spec of random neurons.

    The random neurons (key: RANDOM, RANDOM) are as many, set to 0 always, and belong to no class.
    """
    layers = f"{setting.layers[0]}-{setting.layers[-1]}"
    common = {"fit": FitChoice(site=setting.site), "op": "set=0"}
    found = {}
    for concept in concepts:
        for tau in (None, *TAUS):
            how = {"use_range": False} if tau is None else {"tau": tau}
            found[concept, arm_name(tau)] = make_spec(
                atlas, concept=concept, rule="mean_abs", top=TOP, layers=layers, **how, **common
            )
    count = len(found[concepts[0], WHOLE].edits)
    neurons = random_neurons(atlas.manifest, setting, count)
    found[RANDOM, RANDOM] = make_spec(atlas, neurons=neurons, **common)
    return found


def random_neurons(manifest: Manifest, setting: Setting, count: int, seed: int = 0) -> list[str]:
    width = getattr(manifest, site_of(setting.site).width)
    everything = [(layer, neuron) for layer in setting.layers for neuron in range(width)]
    return [format_neuron(*address) for address in sorted(random.Random(seed).sample(everything, count))]


@dataclass(frozen=True)
class Outcome:
    """What the baseline (row 0) and every arm make of the same texts."""

    arms: list[tuple[str, str]]
    """(target, arm) of rows 1.. of logprob_AEC and nll_AE."""
    logprob_AEC: np.ndarray
    gold_E: np.ndarray
    nll_AE: np.ndarray
    tokens_E: np.ndarray


def run(
    live: LiveModel,
    specs: dict[tuple[str, str], InterventionSpec],
    examples: Sequence[tuple[str, str]],
    concepts: Sequence[str],
    template: str,
    other_texts: Sequence[str],
    advance: Callable[[int], None] = lambda n: None,
) -> Outcome:
    """Classify `examples` and read `other_texts` without edits and under each spec."""
    prompts = make_prompts(live, examples, {name: f" {name}" for name in concepts}, template)
    texts = [ids for ids in encode(live, list(other_texts), "{text}", 512)[0] if len(ids) > 1]
    edits = [None, *specs.values()]
    return Outcome(
        arms=list(specs),
        logprob_AEC=label_log_probs(live, prompts.input_ids, prompts.label_tokens, edits, advance=advance),
        gold_E=np.array(prompts.gold),
        nll_AE=text_losses(live, texts, edits, advance=advance),
        tokens_E=np.array([len(ids) - 1 for ids in texts]),
    )


def accuracy(outcome: Outcome) -> np.ndarray:
    """Whether each text's own label scores best; float64 [A, E]."""
    return (outcome.logprob_AEC.argmax(axis=2) == outcome.gold_E).astype(np.float64)


def confidence(outcome: Outcome) -> np.ndarray:
    """Probability, over the whole vocabulary, of the first token of the own label; [A, E]."""
    return np.exp(np.take_along_axis(outcome.logprob_AEC, outcome.gold_E[None, :, None], axis=2)[..., 0])


def label_confidence(outcome: Outcome) -> np.ndarray:
    """The own label's share of the probability that all label words have together; [A, E]."""
    total_AE = np.logaddexp.reduce(outcome.logprob_AEC, axis=2)
    return confidence(outcome) / np.exp(total_AE)


def is_right(outcome: Outcome, correct_only: bool) -> np.ndarray:
    """bool [E]: all texts, or those that the model without edits answers correctly (the protocol of the paper)."""
    return accuracy(outcome)[0].astype(bool) | (not correct_only)


def means_by_class(
    values_AE: np.ndarray, gold_E: np.ndarray, n_classes: int, bootstrap: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(own_RAC, others_RAC): means over the texts of each class, and over those of all other classes together.

    Texts are resampled within their class, the same for all arms. NaN where there are no texts.
    """
    draw = np.random.default_rng(seed)
    counts_C = np.bincount(gold_E, minlength=n_classes)
    sums_RAC = np.zeros((1 + bootstrap, len(values_AE), n_classes))
    for concept, n in enumerate(counts_C):
        own_AE = values_AE[:, gold_E == concept]
        sums_RAC[0, :, concept] = own_AE.sum(axis=1)
        if n:
            drawn_RE = draw.multinomial(n, np.full(n, 1 / n), bootstrap)
            sums_RAC[1:, :, concept] = drawn_RE @ own_AE.T
    with np.errstate(invalid="ignore", divide="ignore"):
        own = sums_RAC / counts_C
        others = (sums_RAC.sum(axis=2, keepdims=True) - sums_RAC) / (counts_C.sum() - counts_C)
    return own, others


@dataclass(frozen=True)
class ClassMean:
    """Means over the targets of one arm, with 95 % intervals; drops are baseline minus arm, paired."""

    target: Interval
    complement: Interval
    target_drop: Interval
    complement_drop: Interval
    gap: Interval
    """target_drop - complement_drop: what the arm does to the target alone."""
    kept: Interval
    """How much less the target drops than under whole-neuron masking."""
    spared: Interval
    """How much less the complement drops than under whole-neuron masking."""


def class_means(
    outcome: Outcome, values_AE: np.ndarray, keep_E: np.ndarray, concepts: Sequence[str], bootstrap: int, seed: int
) -> dict[str, ClassMean]:
    """arm -> means over all classes of the texts `keep_E`; the baseline is the arm "baseline".

    `values_AE`: accuracy or confidence, the baseline first. Targets are the classes with MIN_TEXTS texts kept.
    """
    gold_E = outcome.gold_E[keep_E]
    own_RAC, others_RAC = means_by_class(values_AE[:, keep_E], gold_E, len(concepts), bootstrap, seed)
    targets = targets_of(gold_E, concepts)
    series = {}
    for arm, rows in _rows_by_arm(outcome, targets).items():
        columns = [concepts.index(target) for target in targets]
        own_R, others_R = (table[:, rows, columns].mean(axis=1) for table in (own_RAC, others_RAC))
        base_own_R, base_others_R = (table[:, 0, columns].mean(axis=1) for table in (own_RAC, others_RAC))
        series[arm] = (own_R, others_R, base_own_R - own_R, base_others_R - others_R)
    whole_own_R, whole_others_R = series[WHOLE][2:]
    return {
        arm: ClassMean(
            *map(interval, each),
            gap=interval(each[2] - each[3]),
            kept=interval(whole_own_R - each[2]),
            spared=interval(whole_others_R - each[3]),
        )
        for arm, each in series.items()
    }


def _rows_by_arm(outcome: Outcome, targets: Sequence[str]) -> dict[str, list[int]]:
    """arm -> its row for each target; the baseline and the random neurons are the same for all."""
    row_of = {pair: number for number, pair in enumerate(outcome.arms, start=1)}
    arms = dict.fromkeys(arm for _, arm in outcome.arms)
    found = {"baseline": [0] * len(targets)}
    return found | {arm: [row_of.get((target, arm), row_of.get((RANDOM, arm))) for target in targets] for arm in arms}


def targets_of(gold_E: np.ndarray, concepts: Sequence[str]) -> list[str]:
    """The classes with at least MIN_TEXTS texts."""
    return [name for number, name in enumerate(concepts) if (gold_E == number).sum() >= MIN_TEXTS]


def perplexities(outcome: Outcome, bootstrap: int, seed: int) -> dict[str, Interval]:
    """arm -> geometric mean over the targets of the perplexity of the other texts, texts resampled together."""
    n = len(outcome.tokens_E)
    drawn_RE = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), bootstrap)
    counts_RE = np.concatenate([np.ones((1, n)), drawn_RE])
    loss_RA = (counts_RE @ outcome.nll_AE.T) / (counts_RE @ outcome.tokens_E)[:, None]
    rows_of: dict[str, list[int]] = {"baseline": [0]}
    for row, (_, arm) in enumerate(outcome.arms, start=1):
        rows_of.setdefault(arm, []).append(row)
    return {arm: interval(np.exp(loss_RA[:, rows].mean(axis=1))) for arm, rows in rows_of.items()}
