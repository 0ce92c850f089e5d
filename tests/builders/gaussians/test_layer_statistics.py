"""The whole of one layer: types, agreement of its parts, independence of tiling, refusals."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from scipy import stats

import builders.gaussians.layer as layer_statistics
from atlas.errors import BuildError, UsageError
from builders.gaussians.layer import separate_and_fit, tiles
from tests.builders.gaussians.samples import CONCEPT_SIZES, columns, labels

C, TAUS, BINS = len(CONCEPT_SIZES), [2.0, 2.5], 16


@pytest.fixture(scope="module")
def acts() -> np.ndarray:
    return np.hstack([columns(seed) for seed in range(5)]).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(acts):
    return separate_and_fit(acts, labels(), C, TAUS, BINS)


def test_shapes_and_types(fitted, acts):
    width = acts.shape[1]
    integers = {"n": (C,), "twice_u": (C, width), "histogram": (C, width, BINS)}
    integers |= dict.fromkeys(("inside", "others_inside", "worst_concept", "worst_inside"), (len(TAUS), C, width))
    for field in fields(fitted):
        value = getattr(fitted, field.name)
        if field.name == "background_n":
            assert value == len(acts)
        elif field.name == "further":
            assert value == {}  # no statistic with a table of its own is registered
        elif field.name in integers:
            assert value.shape == integers[field.name]
            assert value.dtype == (np.int64 if field.name in ("n", "twice_u") else np.int32)
        else:
            assert value.shape == ((width,) if field.name.startswith("background_") else (C, width))
            assert value.dtype == np.float32


def test_a_planted_neuron_is_described(acts):
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(3), 200)
    planted = rng.normal(0, 1, (600, 20)).astype(np.float32)
    planted[label == 1, 7] += 8
    got = separate_and_fit(planted, label, 3, TAUS, BINS)
    auc = got.twice_u / (2 * 200 * 400)
    assert auc[1, 7] > 0.999 and np.delete(auc[1], 7).max() < 0.6
    assert got.dprime[1, 7] == pytest.approx(8, rel=0.1)
    assert got.overlap[1, 7] < 1e-3
    assert got.inside[1, 1, 7] >= 190 and got.others_inside[1, 1, 7] <= 1


def test_values_against_numpy_and_scipy(fitted, acts):
    label = labels()
    for concept in range(C):
        own, rest = (acts[rows].astype(np.float64) for rows in (label == concept, label != concept))
        np.testing.assert_allclose(fitted.mean[concept], own.mean(0), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(fitted.std[concept], own.std(0), rtol=1e-6, atol=1e-12)
        np.testing.assert_array_equal(fitted.min[concept], own.min(0))
        np.testing.assert_array_equal(fitted.max[concept], own.max(0))
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.sqrt((own.var(0) + rest.var(0)) / 2)
            expected = np.where(spread > 1e-9, (own.mean(0) - rest.mean(0)) / spread, np.nan)
        varies = spread > 1e-9
        np.testing.assert_allclose(fitted.dprime[concept, varies], expected[varies], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(fitted.twice_u[concept], 2 * stats.mannwhitneyu(own, rest, axis=0).statistic)
    np.testing.assert_array_equal(fitted.histogram.sum(axis=2), np.broadcast_to(fitted.n[:, None], fitted.mean.shape))
    neuron = 8
    sample = acts[:, neuron].astype(np.float64)
    expected = stats.kstest(sample, stats.norm(sample.mean(), sample.std()).cdf).statistic
    assert fitted.background_ks[neuron] == pytest.approx(expected, rel=1e-6)


def test_one_example_is_a_point(fitted):
    lone = CONCEPT_SIZES.index(1)
    assert (fitted.std[lone] == 0).all() and (fitted.inside[:, lone] == 1).all()
    for undefined in (fitted.skewness, fitted.kurtosis, fitted.ks):
        assert np.isnan(undefined[lone]).all()


def test_a_single_concept_has_nothing_to_be_told_from():
    got = separate_and_fit(np.float32([[0, 1], [1, 2]]), np.zeros(2, dtype=int), 1, TAUS, BINS)
    assert (got.twice_u == 0).all() and (got.worst_concept == -1).all() and (got.others_inside == 0).all()
    assert np.isnan(got.dprime).all() and np.isnan(got.overlap).all()


@pytest.mark.parametrize("width", [1, 3, 16])
def test_the_bits_do_not_depend_on_the_chunk_or_the_tile(acts, fitted, width, monkeypatch):
    monkeypatch.setattr(layer_statistics, "TILE_VALUES", {"cpu": 0})
    monkeypatch.setattr(layer_statistics, "MIN_TILE_WIDTH", width)
    tiled = separate_and_fit(acts, labels(), C, TAUS, BINS)
    alone = separate_and_fit(acts[:, 8:9], labels(), C, TAUS, BINS)
    for field in fields(fitted):
        whole, part = getattr(fitted, field.name), getattr(tiled, field.name)
        np.testing.assert_array_equal(part, whole, err_msg=field.name)
        if field.name not in ("n", "background_n", "further"):
            whole = whole[:, 8:9] if field.name == "histogram" else whole[..., 8:9]
            np.testing.assert_array_equal(getattr(alone, field.name), whole, err_msg=field.name)


@pytest.mark.parametrize(("examples", "concepts"), [(500, 10), (10**6, 10), (500, 400)])
def test_what_is_worked_on_at_once_is_bounded(examples, concepts):
    """By examples, and where concepts are many by their counts."""
    width, n_taus = 1536, 2
    tile_width, at_once = tiles(width, examples, concepts, n_taus, BINS, torch.device("cpu"))
    values = max(examples, concepts * (2 * n_taus + BINS))
    assert 1 <= tile_width <= width
    assert at_once == 1 or at_once * tile_width * values <= layer_statistics.VALUES_AT_ONCE
    assert at_once > 1 or tile_width * values > layer_statistics.VALUES_AT_ONCE // 2


def test_a_memory_mapped_file_is_read(acts, fitted, tmp_path):
    acts.tofile(tmp_path / "acts.bin")
    mapped = np.memmap(tmp_path / "acts.bin", dtype=np.float32, mode="r", shape=acts.shape)
    got = separate_and_fit(mapped[:, 10:30], labels(), C, TAUS, BINS)
    np.testing.assert_array_equal(got.mean, fitted.mean[:, 10:30])
    assert type(got.mean) is np.ndarray


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "not finite"), (np.inf, "not finite"), (-np.inf, "not finite"), (3e38, "exceeds float32")],
)
@pytest.mark.parametrize("example", [0, 3])
def test_an_activation_that_cannot_be_stored_names_its_neuron(value, message, example):
    acts = np.zeros((4, 40), dtype=np.float32)
    acts[example, 33] = value
    with pytest.raises(BuildError, match=rf"^mlp_post layer 3: neuron 133 .*{message}"):
        separate_and_fit(acts, np.array([0, 1, 0, 1]), 2, [2.5], BINS, where="mlp_post layer 3", first_neuron=100)


def test_what_makes_no_sense_is_refused():
    acts, label = np.zeros((4, 2), dtype=np.float32), np.array([0, 0, 1, 1])
    with pytest.raises(BuildError, match="every concept needs an example"):
        separate_and_fit(acts, label, 3, TAUS, BINS)
    with pytest.raises(BuildError, match="every concept needs an example"):
        separate_and_fit(acts, label, 1, TAUS, BINS)
    for taus in ([], [0.0], [-1.0], [np.nan]):
        with pytest.raises(UsageError, match="tau"):
            separate_and_fit(acts, label, 2, taus, BINS)
    with pytest.raises(UsageError, match="bin"):
        separate_and_fit(acts, label, 2, TAUS, 0)
    with pytest.raises(TypeError, match="float32"):
        separate_and_fit(acts.astype(np.float16), label, 2, TAUS, BINS)
