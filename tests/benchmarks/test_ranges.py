"""The pure parts of the range experiments, against references written out here."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from benchmarks.common.cache import cached
from benchmarks.common.dataset_atlas import held_out
from benchmarks.common.labelled_text import Task
from benchmarks.ranges.gaussianity import null_of
from benchmarks.ranges.masking import (
    RANDOM,
    WHOLE,
    Outcome,
    accuracy,
    arm_name,
    class_means,
    confidence,
    is_right,
    label_confidence,
    means_by_class,
    perplexities,
    settings,
)
from benchmarks.ranges.overlap import agreement, common, salient, scores_from
from builders.corpora.text_hash import text_hash

CONCEPTS = ("a", "b", "c")
ARMS = [(name, arm) for name in CONCEPTS for arm in (WHOLE, arm_name(2.5))] + [(RANDOM, RANDOM)]


@pytest.fixture
def outcome() -> Outcome:
    draw = np.random.default_rng(5)
    gold_E = np.repeat([0, 1, 2], [9, 12, 20])
    logprob_AEC = np.log(draw.dirichlet(np.ones(5), (1 + len(ARMS), len(gold_E)))[..., :3])
    logprob_AEC[0, np.arange(len(gold_E)), gold_E] += 1  # the baseline is better than chance
    tokens_E = draw.integers(3, 9, 7)
    return Outcome(ARMS, logprob_AEC, gold_E, draw.uniform(1, 3, (1 + len(ARMS), 7)) * tokens_E, tokens_E)


def test_class_means_are_plain_means(outcome: Outcome) -> None:
    keep_E = is_right(outcome, correct_only=True)
    assert 0 < keep_E.sum() < len(keep_E)
    for metric in (accuracy, confidence):
        values_AE = metric(outcome)
        found = class_means(outcome, values_AE, keep_E, CONCEPTS, 50, 0)
        targets, others = [], []
        for number, name in enumerate(CONCEPTS):
            row = 1 + ARMS.index((name, WHOLE))
            targets.append(np.mean([values_AE[row, e] for e in range(41) if keep_E[e] and outcome.gold_E[e] == number]))
            others.append(np.mean([values_AE[row, e] for e in range(41) if keep_E[e] and outcome.gold_E[e] != number]))
        assert found[WHOLE].target.value == pytest.approx(np.mean(targets))
        assert found[WHOLE].complement.value == pytest.approx(np.mean(others))
        assert found[WHOLE].spared.value == 0
        drop = found["baseline"].complement.value - found[arm_name(2.5)].complement.value
        assert found[arm_name(2.5)].complement_drop.value == pytest.approx(drop)
        whole_drop = found["baseline"].complement.value - np.mean(others)
        assert found[arm_name(2.5)].spared.value == pytest.approx(whole_drop - drop)
    assert class_means(outcome, accuracy(outcome), keep_E, CONCEPTS, 5, 0)["baseline"].target.value == 1


def test_confidence_among_the_labels(outcome: Outcome) -> None:
    probability_AEC = np.exp(outcome.logprob_AEC)
    own_AE = np.stack([probability_AEC[:, e, gold] for e, gold in enumerate(outcome.gold_E)], axis=1)
    np.testing.assert_allclose(confidence(outcome), own_AE)
    np.testing.assert_allclose(label_confidence(outcome), own_AE / probability_AEC.sum(axis=2))


def test_random_neurons_serve_every_target(outcome: Outcome) -> None:
    values_AE = accuracy(outcome)
    everything = np.ones(41, bool)
    found = class_means(outcome, values_AE, everything, CONCEPTS, 5, 0)[RANDOM]
    assert found.target.value == pytest.approx(np.mean([values_AE[-1, outcome.gold_E == c].mean() for c in range(3)]))


def test_a_class_with_few_texts_is_no_target(outcome: Outcome) -> None:
    keep_E = np.ones(41, bool)
    keep_E[4:9] = False  # leaves 4 of class a
    values_AE = accuracy(outcome)
    found = class_means(outcome, values_AE, keep_E, CONCEPTS, 5, 0)["baseline"]
    assert found.target.value == pytest.approx((values_AE[0, 9:21].mean() + values_AE[0, 21:].mean()) / 2)
    # Its texts still count among the others.
    of_b = values_AE[0, keep_E & (outcome.gold_E != 1)].mean()
    of_c = values_AE[0, keep_E & (outcome.gold_E != 2)].mean()
    assert found.complement.value == pytest.approx((of_b + of_c) / 2)


def test_texts_are_resampled_within_their_class() -> None:
    gold_E = np.repeat([0, 1], [1, 400])
    values_AE = np.concatenate([[3.0], np.random.default_rng(0).normal(0, 1, 400)])[None]
    own_RAC, others_RAC = means_by_class(values_AE, gold_E, 2, 2000, 1)
    assert (own_RAC[:, 0, 0] == 3).all()  # one text is always itself
    assert np.std(own_RAC[1:, 0, 1]) == pytest.approx(1 / np.sqrt(400), rel=0.1)
    np.testing.assert_allclose(others_RAC[:, 0, 0], own_RAC[:, 0, 1])


def test_perplexity_is_the_geometric_mean_over_targets(outcome: Outcome) -> None:
    rows = [1 + ARMS.index((name, WHOLE)) for name in CONCEPTS]
    each = [np.exp(outcome.nll_AE[row].sum() / outcome.tokens_E.sum()) for row in rows]
    assert perplexities(outcome, 20, 0)[WHOLE].value == pytest.approx(stats.gmean(each))


def test_overlap_of_sets() -> None:
    scores_CN = np.random.default_rng(2).random((4, 50))
    chosen_CN = salient(scores_CN, 0.3)
    sets = [set(np.argsort(-row)[:15].tolist()) for row in scores_CN]
    assert [set(np.flatnonzero(row).tolist()) for row in chosen_CN] == sets
    shares = [len(set.intersection(*group)) / 15 for group in combinations(sets, 3)]
    assert common(chosen_CN, 3) == pytest.approx((np.mean(shares), min(shares), max(shares)))
    assert agreement(chosen_CN, chosen_CN) == 1
    assert salient(np.zeros((1, 10)), 0.2)[0].tolist() == [True, True] + [False] * 8


def test_scores_of_other_texts() -> None:
    draw = np.random.default_rng(3)
    acts_EN, labels_E = draw.normal(size=(30, 4)).astype(np.float32), draw.integers(0, 2, 30)
    found = scores_from(acts_EN, labels_E, 2)
    own, rest = (acts_EN[labels_E == concept].astype(np.float64) for concept in (1, 0))
    np.testing.assert_allclose(found["mean_abs"][1], np.abs(own).mean(axis=0), rtol=1e-6)
    u = stats.mannwhitneyu(own, rest).statistic / (len(own) * len(rest))
    np.testing.assert_allclose(found["auc"][1], np.abs(u - 0.5))


def test_the_control_knows_the_normal_distribution() -> None:
    """Standard errors of skewness and kurtosis for n normals: sqrt(6/n) and sqrt(24/n) to first order."""
    n = 300
    null = null_of(n)
    low, middle, high = null.quantiles["skewness"]
    assert abs(middle) < 0.01
    assert high == pytest.approx(stats.norm.ppf(0.95) * np.sqrt(6 / n), rel=0.06)
    assert low == pytest.approx(-high, rel=0.1)
    assert null.bounds["ks"][1] == pytest.approx(0.886 / np.sqrt(n), rel=0.03)  # Lilliefors, 5 %
    assert null.bounds["kurtosis"][0] < 0 < null.bounds["kurtosis"][1]


def test_held_out_texts_are_neither_used_nor_repeated_nor_ambiguous() -> None:
    examples = (("One", "a"), ("one ", "a"), ("two", "a"), ("TWO", "b"), ("three", "b"), ("four", "c"))
    task = Task("t", "{text}", ("a", "b", "c"), examples)
    assert held_out(task, {text_hash("four")}) == [("One", "a"), ("three", "b")]


def test_settings_follow_the_depth() -> None:
    assert [each.name for each in settings(30)] == ["resid_post L29", "resid_post L15", "mlp_post L12-29"]


def test_cached_parts_are_computed_once(tmp_path) -> None:
    calls = []

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"x": np.arange(3)}

    for identity in ([1], [1], [2]):
        assert cached(tmp_path, "part", identity, compute)["x"].tolist() == [0, 1, 2]
    assert len(calls) == 2
