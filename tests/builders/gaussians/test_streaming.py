"""Every registered statistic: merging, pooling, state. Their values are tested in test_values.py."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import builders.gaussians.statistics
from builders.gaussians.statistics.base import Statistic
from builders.gaussians.statistics.registry import STATISTICS, statistic
from tests.builders.gaussians.samples import CONCEPT_SIZES, columns, labels

C = len(CONCEPT_SIZES)


def fresh(name: str, acts: np.ndarray, n_concepts: int = C) -> Statistic:
    return statistic(name)(n_concepts, acts.shape[1])


def assert_same(a: Statistic, b: Statistic) -> None:
    left, right = a.result(), b.result()
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_allclose(left[key], right[key], rtol=1e-6, err_msg=key)


def test_no_statistic_is_missing_from_the_registry():
    found = {
        f"{module.__name__}:{name}"
        for info in pkgutil.iter_modules(builders.gaussians.statistics.__path__, "builders.gaussians.statistics.")
        for module in [importlib.import_module(info.name)]
        for name, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Statistic) and not inspect.isabstract(member) and member.__module__ == info.name
    }
    assert found == set(STATISTICS.values())


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("cuts", [(1,), (50,), (3, 4, 99), tuple(range(1, 100))])
def test_blocks_and_merges_equal_a_single_pass(name, cuts):
    acts, label = columns(), labels()
    whole, streamed, merged = (fresh(name, acts) for _ in range(3))
    whole.update(acts, label)
    for rows in np.split(np.arange(100), cuts):
        streamed.update(acts[rows], label[rows])
        shard = fresh(name, acts)
        shard.update(acts[rows], label[rows])
        merged.merge(shard)
    assert_same(streamed, whole)
    assert_same(merged, whole)


@pytest.mark.parametrize("name", STATISTICS)
def test_pooled_has_seen_every_row(name):
    acts, label = columns(), labels()
    per_concept, together = fresh(name, acts), fresh(name, acts, n_concepts=1)
    per_concept.update(acts, label)
    together.update(acts, np.zeros_like(label))
    assert_same(per_concept.pooled(), together)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_build_continues_from_a_saved_state_to_the_same_bits(name, tmp_path):
    acts, label = columns(), labels()
    straight = fresh(name, acts)
    straight.update(acts[:40], label[:40])
    np.savez(tmp_path / "state.npz", **straight.state())
    straight.update(acts[40:], label[40:])

    resumed = fresh(name, acts)
    with np.load(tmp_path / "state.npz") as saved:
        resumed.load(dict(saved))
    resumed.update(acts[40:], label[40:])
    for key, values in straight.state().items():
        np.testing.assert_array_equal(values, resumed.state()[key], err_msg=key)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_state_is_a_copy(name):
    acts, label = columns(), labels()
    one = fresh(name, acts)
    before = one.state()
    one.update(acts, label)
    assert any(not np.array_equal(before[key], one.state()[key]) for key in before)


@pytest.mark.parametrize("name", STATISTICS)
def test_what_does_not_fit_is_refused(name):
    acts, label = columns(), labels()
    one = fresh(name, acts)
    with pytest.raises(ValueError, match="same kind"):
        one.merge(fresh(name, acts, n_concepts=C + 1))
    with pytest.raises(ValueError, match="state has the arrays"):
        one.load({"something": np.zeros(3)})
    with pytest.raises(ValueError, match="shape and type"):
        one.load(fresh(name, acts[:, :3]).state())
    with pytest.raises(ValueError, match="block of shape"):
        one.update(acts[:, :3], label)
    with pytest.raises(ValueError, match="concept index"):
        one.update(acts, label + 1)


@pytest.mark.parametrize("name", STATISTICS)
def test_no_rows_change_nothing(name):
    acts, label = columns(), labels()
    one, other = fresh(name, acts), fresh(name, acts)
    for each in (one, other):
        each.update(acts, label)
    other.update(acts[:0], label[:0])
    other.merge(fresh(name, acts))
    for key, values in one.state().items():
        np.testing.assert_array_equal(values, other.state()[key])
