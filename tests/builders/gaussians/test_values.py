"""The values of the statistics against two-pass numpy in float64 and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from builders.gaussians.statistics.extremes import Extremes
from builders.gaussians.statistics.moments import Moments
from builders.gaussians.statistics.normality import ks_distance, lilliefors_reference
from tests.builders.gaussians.samples import CONCEPT_SIZES, columns, labels

C = len(CONCEPT_SIZES)


def streamed_moments(acts: np.ndarray, label: np.ndarray, block: int = 7) -> Moments:
    moments = Moments(C, acts.shape[1])
    for start in range(0, len(label), block):
        moments.update(acts[start : start + block], label[start : start + block])
    return moments


@pytest.mark.parametrize("seed", range(5))
def test_moments(seed):
    acts, label = columns(seed), labels()
    result = streamed_moments(acts, label).result()
    for concept in range(C):
        own = acts[label == concept]
        varies = np.ptp(own, axis=0) > 0
        # longdouble: a reference with more digits than the code under test
        exact = own.astype(np.longdouble)
        np.testing.assert_array_equal(result["n"][concept], len(own))
        np.testing.assert_allclose(result["mean"][concept], exact.mean(0).astype(float), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(result["std"][concept], exact.std(0).astype(float), rtol=1e-8, atol=0)
        np.testing.assert_allclose(result["mean_abs"][concept], np.abs(own).mean(0), rtol=1e-12)
        centred = (exact - exact.mean(0))[:, varies].astype(float)
        np.testing.assert_allclose(result["skewness"][concept, varies], stats.skew(centred), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(result["kurtosis"][concept, varies], stats.kurtosis(centred), rtol=1e-6, atol=1e-7)
        assert np.isnan(result["skewness"][concept, ~varies]).all()
        assert np.isnan(result["kurtosis"][concept, ~varies]).all()


def test_a_constant_neuron_has_a_variance_of_exactly_zero():
    moments = streamed_moments(columns(), labels())
    assert (moments.result()["std"][:, 2] == 0).all()
    assert moments.pooled().result()["std"][0, 2] == 0
    assert moments.pooled().result()["mean"][0, 2] == 0.1


def test_float32_blocks_are_accumulated_in_float64():
    acts = np.full((50_000, 1), 0.1, dtype=np.float32)
    acts[::2] += np.float32(0.5)
    moments = Moments(1, 1)
    moments.update(acts, np.zeros(len(acts), dtype=int))
    np.testing.assert_allclose(moments.result()["mean"][0], acts.astype(np.float64).mean(0), rtol=1e-14)


def test_the_rest_is_every_other_concept():
    acts, label = columns(), labels()
    for concept, (mean, std) in enumerate(zip(*streamed_moments(acts, label).rest(), strict=True)):
        others = acts[label != concept]
        np.testing.assert_allclose(mean, others.mean(0), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(std, (others - others[0]).std(0), rtol=1e-8, atol=1e-16)


def test_a_concept_without_rows_is_nan():
    moments = Moments(2, 3)
    moments.update(np.ones((4, 3)), np.zeros(4, dtype=int))
    result = moments.result()
    assert (result["n"][1] == 0).all()
    assert all(np.isnan(result[key][1]).all() for key in result if key != "n")


def test_extremes():
    acts, label = columns(), labels()
    extremes = Extremes(C, acts.shape[1])
    extremes.update(acts, label)
    for concept in range(C):
        np.testing.assert_array_equal(extremes.result()["min"][concept], acts[label == concept].min(0))
        np.testing.assert_array_equal(extremes.result()["max"][concept], acts[label == concept].max(0))


def test_ks_distance_is_scipys_against_the_fitted_normal():
    acts = columns()
    distance = ks_distance(acts)
    for neuron in range(acts.shape[1]):
        sample = acts[:, neuron]
        if np.ptp(sample) == 0:
            assert np.isnan(distance[neuron])
            continue
        expected = stats.kstest(sample, stats.norm(sample.mean(), sample.std()).cdf).statistic
        assert distance[neuron] == pytest.approx(expected, rel=1e-6)


def test_ks_distance_needs_two_different_values():
    assert np.isnan(ks_distance(np.ones((1, 2)))).all()
    assert np.isnan(ks_distance(np.ones((5, 2)))).all()
    assert ks_distance(np.array([[0.0], [1.0]]))[0] == pytest.approx(stats.norm.cdf(1) - 0.5)


def test_the_simulated_reference_is_lilliefors_table():
    # Large-sample value of the table: 0.886 / sqrt(n) at the 5 % level.
    assert lilliefors_reference(400) * np.sqrt(400) == pytest.approx(0.886, abs=0.03)
