"""Metrics by hand, and intervals against scipy's bootstrap and against resamples made one by one."""

from __future__ import annotations

import pkgutil

import numpy as np
import pytest
from scipy import stats

import builders.evaluation.metrics
from atlas.errors import UnknownNameError
from builders.evaluation.bootstrap import interval, resampled_sums
from builders.evaluation.compare import Group, compare
from builders.evaluation.metrics.base import CLASSIFICATION, TEXT, Classified, Read
from builders.evaluation.metrics.registry import METRICS, metric, metrics_of

SCORED = Classified(np.log([[0.5, 0.2], [0.1, 0.3], [0.4, 0.1]]), np.array([0, 0, 1]))


def value_of(name: str, outcome: Classified | Read) -> float:
    found = metric(name)
    numerator, denominator = found.parts(outcome)
    return float(found.finish(numerator.sum() / denominator.sum()))


def test_metrics_by_hand() -> None:
    assert value_of("accuracy", SCORED) == pytest.approx(1 / 3)
    assert value_of("confidence", SCORED) == pytest.approx((0.5 + 0.1 + 0.1) / 3)
    assert value_of("label_confidence", SCORED) == pytest.approx((5 / 7 + 1 / 4 + 1 / 5) / 3)
    assert value_of("perplexity", Read(np.array([6.0, 3.0]), np.array([2, 1]))) == pytest.approx(np.exp(3.0))


def test_every_metric_is_registered() -> None:
    modules = {
        info.name for info in pkgutil.iter_modules(builders.evaluation.metrics.__path__, "builders.evaluation.metrics.")
    }
    assert modules - {"builders.evaluation.metrics.base", "builders.evaluation.metrics.registry"} == set(
        METRICS.values()
    )
    assert [metric(name).name for name in METRICS] == list(METRICS)
    assert [found.name for found in metrics_of(TEXT)] == ["perplexity"]
    with pytest.raises(UnknownNameError, match="acuracy"):
        metric("acuracy")


def test_resampled_sums_are_sums_of_resampled_rows() -> None:
    values_EK = np.random.default_rng(1).normal(size=(7, 3))
    sums = resampled_sums(values_EK, 40, seed=5)
    counts = np.random.default_rng(5).multinomial(7, np.full(7, 1 / 7), 40)
    rows = [values_EK[np.repeat(np.arange(7), each)] for each in counts]
    assert all(len(row) == 7 for row in rows)
    np.testing.assert_allclose(sums[0], values_EK.sum(0))
    np.testing.assert_allclose(sums[1:], [row.sum(0) for row in rows])


def test_intervals_agree_with_scipy() -> None:
    draw = np.random.default_rng(0)
    nll_E, tokens_E = draw.gamma(5.0, 10.0, 150), draw.integers(5, 40, 150)
    worse_E = nll_E * draw.uniform(0.9, 1.6, 150)
    base, arm = compare(
        ["baseline", "range"], [Group("other", TEXT, [Read(nll_E, tokens_E), Read(worse_E, tokens_E)])], 6000, 3
    )

    def perplexity(nll, tokens, axis):
        return np.exp(nll.sum(axis) / tokens.sum(axis))

    def drop(nll, worse, tokens, axis):
        return perplexity(nll, tokens, axis) - perplexity(worse, tokens, axis)

    options = {"paired": True, "method": "percentile", "n_resamples": 6000, "rng": 1}
    for found, data, statistic in (
        (base.value, (nll_E, tokens_E), perplexity),
        (arm.value, (worse_E, tokens_E), perplexity),
        (arm.drop, (nll_E, worse_E, tokens_E), drop),
    ):
        expected = stats.bootstrap(data, statistic, **options).confidence_interval
        width = expected.high - expected.low
        assert found.value == pytest.approx(statistic(*data, axis=0))
        assert found.low == pytest.approx(expected.low, abs=0.08 * width)
        assert found.high == pytest.approx(expected.high, abs=0.08 * width)


def test_drops_are_paired() -> None:
    logprob_EC = np.log(np.random.default_rng(2).uniform(0.1, 0.4, (50, 2)))
    gold_E = np.tile([0, 1], 25)
    halved = Classified(logprob_EC + np.log(0.5), gold_E)
    scores = compare(
        ["baseline", "spec"], [Group("target", CLASSIFICATION, [Classified(logprob_EC, gold_E), halved])], 500, 0
    )
    found = {(score.arm, score.metric): score for score in scores}
    base, arm = found["baseline", "confidence"].value, found["spec", "confidence"]
    for bound in ("value", "low", "high"):  # each resample loses exactly half of what it has
        assert getattr(arm.drop, bound) == pytest.approx(getattr(base, bound) / 2)
    same = found["spec", "accuracy"].drop
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert found["baseline", "accuracy"].drop is None


def test_seeds_and_small_samples() -> None:
    values = np.random.default_rng(0).normal(size=(20, 1))
    assert np.array_equal(resampled_sums(values, 50, 1), resampled_sums(values, 50, 1))
    assert not np.array_equal(resampled_sums(values, 50, 1), resampled_sums(values, 50, 2))
    alone = interval(resampled_sums(values[:1], 50, 1)[:, 0])
    assert (alone.low, alone.high) == (None, None)
    nobody = Classified(np.empty((0, 2)), np.empty(0, dtype=np.int64))
    assert compare(["baseline"], [Group("target", CLASSIFICATION, [nobody])], 10, 0) == []
