"""Intervals, held-out shares and measures of single neurons, against brute force and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from atlas.errors import BuildError
from builders.intervals import held_out
from builders.intervals.best import MOST_VALUES, best_intervals, whole_numbers
from builders.intervals.layer import Examples, LayerIntervals, find_intervals
from builders.intervals.permutations import Chance, labellings_of
from tests.builders.intervals.reference import average_precision, best_f1, best_interval

DEVICE = torch.device("cpu")


def activations(kind: str, n_examples: int, width: int) -> np.ndarray:
    """Float32 columns without, with some, and with mostly equal values."""
    values = np.random.default_rng(n_examples).standard_normal((n_examples, width)).astype(np.float32)
    if kind == "some equal":
        return np.round(values, 1)
    if kind == "mostly zero":
        return np.maximum(values - 1, 0)
    if kind == "constant":
        return np.full_like(values, 0.5)
    return values


def found(acts_EN: np.ndarray, labels_E: np.ndarray, folds_E: np.ndarray, strata_E: np.ndarray) -> LayerIntervals:
    """By the code under test, with few permutations."""
    drawn = labellings_of(labels_E, np.arange(len(labels_E)), 20, 0)
    examples = Examples(labels_E, folds_E, np.arange(len(labels_E)) % 7, strata_E)
    return find_intervals(acts_EN, examples, Chance(drawn, DEVICE), DEVICE)


@pytest.fixture(
    params=[
        ("continuous", [9, 14, 6]),
        ("some equal", [9, 14, 6]),
        ("mostly zero", [9, 14, 6]),
        ("constant", [5, 7]),
        ("continuous", [3, 30]),
        ("some equal", [12]),
        ("some equal", [2, 1, 3, 2, 2, 2, 1, 2, 3]),  # so many that they are looked at in parts
    ],
    ids=lambda each: f"{each[0]} {len(each[1])}",
)
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, LayerIntervals]:
    """acts_EN, labels_E, folds_E, strata_E and what was found."""
    kind, counts = request.param
    generator = np.random.default_rng(1)
    labels_E = generator.permutation(np.repeat(np.arange(len(counts)), counts))
    acts_EN = activations(kind, len(labels_E), 21)
    acts_EN[labels_E == 0] += np.linspace(0, 1, 21, dtype=np.float32).round(1) * (kind != "constant")
    folds_E, strata_E = generator.integers(0, 4, len(labels_E)), generator.integers(0, 3, len(labels_E))
    return acts_EN, labels_E, folds_E, strata_E, found(acts_EN, labels_E, folds_E, strata_E)


def test_the_interval_is_the_best_of_all(case) -> None:
    acts_EN, labels_E, _, _, layer = case
    for concept in range(labels_E.max() + 1):
        for neuron in range(acts_EN.shape[1]):
            due = best_interval(acts_EN[:, neuron], labels_E == concept)
            place = concept, neuron
            got = layer.lower[place], layer.upper[place], layer.inside[place], layer.others_inside[place]
            assert got == due, (concept, neuron)


def test_held_out_counts_are_those_of_intervals_of_the_other_folds(case) -> None:
    acts_EN, labels_E, folds_E, _, layer = case
    n_concepts = labels_E.max() + 1
    n = np.bincount(labels_E)
    for concept in range(n_concepts):
        for neuron in range(acts_EN.shape[1]):
            counts = np.zeros(n_concepts, int)
            for fold in range(4):
                training, values = folds_E != fold, acts_EN[:, neuron]
                lower, upper, *_ = best_interval(values[training], (labels_E == concept)[training])
                inside = (values >= lower) & (values <= upper) & ~training
                counts += np.bincount(labels_E[inside], minlength=n_concepts)
            others = np.delete(counts, concept)
            assert layer.held_inside[concept, neuron] == counts[concept]
            assert layer.held_others_inside[concept, neuron] == others.sum()
            if n_concepts == 1:
                assert layer.held_worst_concept[concept, neuron] == -1
                continue
            share = counts / n
            share[concept] = -1
            worst = int(share.argmax())
            assert layer.held_worst_concept[concept, neuron] == worst
            assert layer.held_worst_inside[concept, neuron] == counts[worst]


def test_thresholds(case) -> None:
    acts_EN, labels_E, _, _, layer = case
    for concept in range(labels_E.max() + 1):
        own = labels_E == concept
        for neuron, values in enumerate(acts_EN.T):
            assert layer.ap[concept, neuron] == pytest.approx(average_precision(values, own), abs=1e-12)
            assert layer.ap_low[concept, neuron] == pytest.approx(average_precision(-values, own), abs=1e-12)
            assert layer.best_f1[concept, neuron] == pytest.approx(best_f1(values, own), abs=1e-12)


def test_p_and_correlations_are_those_of_scipy(case) -> None:
    acts_EN, labels_E, _, _, layer = case
    if labels_E.max() == 0:
        assert np.isnan(layer.p).all() and np.isnan(layer.point_biserial).all()
        return
    for concept in range(labels_E.max() + 1):
        own = labels_E == concept
        for neuron, values in enumerate(acts_EN.T.astype(np.float64)):
            if np.ptp(values) == 0:
                assert np.isnan(layer.p[concept, neuron]) and np.isnan(layer.point_biserial[concept, neuron])
                continue
            due = stats.mannwhitneyu(values[own], values[~own], method="asymptotic").pvalue
            assert layer.p[concept, neuron] == pytest.approx(due, rel=1e-9)
            r = stats.pearsonr(own.astype(float), values).statistic
            assert layer.point_biserial[concept, neuron] == pytest.approx(r, abs=1e-9)


def test_length(case) -> None:
    acts_EN, labels_E, _, strata_E, layer = case
    tokens_E = np.arange(len(labels_E)) % 7
    for neuron, values in enumerate(acts_EN.T):
        if np.ptp(values) == 0:
            assert np.isnan(layer.length_correlation[neuron])
            continue
        due = stats.spearmanr(values, tokens_E).statistic
        assert layer.length_correlation[neuron] == pytest.approx(due, abs=1e-9)
    for concept in range(labels_E.max() + 1):
        for neuron, values in enumerate(acts_EN.T):
            u = pairs = 0.0
            for stratum in range(3):
                mine = values[(labels_E == concept) & (strata_E == stratum)][:, None]
                rest = values[(labels_E != concept) & (strata_E == stratum)]
                u += (mine > rest).sum() + 0.5 * (mine == rest).sum()
                pairs += mine.size * rest.size
            got = layer.stratified_auc[concept, neuron]
            assert np.isnan(got) if not pairs else got == pytest.approx(u / pairs, abs=1e-12)


def test_a_neuron_does_not_depend_on_those_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(5)
    labels_E, folds_E = generator.integers(0, 3, 50), generator.integers(0, 5, 50)
    acts_EN = activations("some equal", 50, 70)
    whole = found(acts_EN, labels_E, folds_E, labels_E * 0)
    monkeypatch.setattr("builders.gaussians.layer.TILE_VALUES", {"cpu": 1})
    tiled = found(acts_EN, labels_E, folds_E, labels_E * 0)
    for name, values in vars(whole).items():
        if name != "maxima":
            assert np.array_equal(values, getattr(tiled, name), equal_nan=True), name
    for name, values in vars(whole.maxima).items():
        assert np.array_equal(values, getattr(tiled.maxima, name)), name


def test_a_concept_in_one_fold_alone_is_never_found_held_out() -> None:
    labels_E = np.repeat([0, 1], [4, 20])
    folds_E = np.concatenate([np.zeros(4, int), np.arange(20) % 5])
    layer = found(activations("continuous", 24, 10), labels_E, folds_E, labels_E * 0)
    # Left out, its only fold leaves no value to find an interval on; what other folds have of it is nothing.
    assert (layer.held_inside[0] == 0).all()
    others = layer.held_others_inside[0]
    assert ((others >= 0) & (others <= 20)).all() and (layer.inside[0] > 0).all()


def test_more_values_than_can_be_counted_are_refused() -> None:
    with pytest.raises(BuildError, match="intervals are exact for up to"):
        best_intervals(torch.zeros((1, 1)), torch.zeros((1, 1)).double(), None, MOST_VALUES + 1)


@pytest.mark.parametrize("wide", [torch.float64, torch.int64], ids=str)
@pytest.mark.parametrize("kind", ["continuous", "some equal", "mostly zero"])
def test_sums_in_any_type_choose_the_same(kind: str, wide: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    labels_E = np.repeat([0, 1, 2], 30)
    acts_EN, folds_E = activations(kind, 90, 40), np.arange(90) % 5
    assert whole_numbers(90, 30) is torch.int32 and whole_numbers(100_000, 10) is torch.float64
    assert whole_numbers(MOST_VALUES, MOST_VALUES) is torch.int64
    assert 4 * (MOST_VALUES + 1) ** 3 < 2**63
    small = found(acts_EN, labels_E, folds_E, labels_E * 0)
    monkeypatch.setattr(held_out, "whole_numbers", lambda n_all, n: wide)
    large = found(acts_EN, labels_E, folds_E, labels_E * 0)
    for name, values in vars(small).items():
        if name != "maxima":
            assert np.array_equal(values, getattr(large, name), equal_nan=True), name
