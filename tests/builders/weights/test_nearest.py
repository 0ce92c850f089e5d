"""Nearest neurons and redundant groups against brute force in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from builders.weights.nearest import find_nearest
from builders.weights.redundant import REDUNDANT, Groups
from builders.weights.vectors import Vectors

N_LAYERS, WIDTH, D = 4, 30, 16


def table(seed: int, close: bool = False) -> np.ndarray:
    """Vectors [layers, N, D]: one is zero, some are equal; `close`: many differ by less than float32 tells."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((N_LAYERS, WIDTH, D)).astype(np.float32)
    if close:
        w = (np.ones(D) + 1e-6 * w).astype(np.float32)
    w[1, 4] = 0
    w[2, 3] = w[0, 3] = w[0, 9]
    w[3, 1] = -w[0, 9]
    return w


def vectors_of(w: np.ndarray, memory: int = 10**9) -> Vectors:
    return Vectors(lambda layer: torch.from_numpy(w[layer].copy()), len(w), memory)


def brute(w: np.ndarray, place: int, within: bool) -> list[tuple[float, int]]:
    """(-cosine, place) of all others that may be, nearest first, each in a float64 sum of its own."""
    flat = w.reshape(-1, w.shape[-1])
    flat = torch.from_numpy(flat).double()
    found = []
    for other in range(len(flat)):
        same = other // WIDTH == place // WIDTH
        if other != place and same is within and flat[other].any() and flat[place].any():
            lengths = flat[other].square().sum().sqrt() * flat[place].square().sum().sqrt()
            found.append((-float((flat[other] * flat[place]).sum() / lengths), other))
    return sorted(found)


@pytest.mark.parametrize("k", [1, 6])
@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("memory", [1, 10**9], ids=["a row at a time", "whole layers"])
def test_against_brute_force(k, close, memory):
    w = table(5, close)
    found = find_nearest(vectors_of(w, memory), k, memory)
    for within, nearest in zip((True, False), found, strict=True):
        for place in range(N_LAYERS * WIDTH):
            due = brute(w, place, within)[:k]
            cosines = nearest.cosine_AK[place][nearest.place_AK[place] >= 0]
            assert cosines == pytest.approx([-minus for minus, _ in due], abs=1e-14)
            # Which of equals to a rounding of float64 comes first is not told.
            told = [
                i for i in range(len(due)) if all(abs(due[i][0] - other[0]) > 1e-14 for other in due if other != due[i])
            ]
            assert [nearest.place_AK[place][i] for i in told if i < k - 1] == [due[i][1] for i in told if i < k - 1]
            assert (nearest.place_AK[place][len(due) :] == -1).all()


def test_equal_neurons_stand_in_the_order_of_places():
    w = np.ones((2, 3, 4), np.float32)
    same, other = find_nearest(vectors_of(w), 2, 10**6)
    assert same.place_AK.tolist() == [[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]]
    assert other.place_AK.tolist() == [[3, 4]] * 3 + [[0, 1]] * 3


def test_a_neuron_alone():
    same, other = find_nearest(vectors_of(np.ones((1, 1, 4), np.float32)), 3, 10**6)
    assert same.place_AK.tolist() == other.place_AK.tolist() == [[-1]]


def related() -> dict[str, np.ndarray]:
    """Weights [layers, N, D] with planted relations between neurons."""
    rng = np.random.default_rng(8)
    w = {name: rng.standard_normal((N_LAYERS, WIDTH, D)).astype(np.float32) for name in ("out", "in", "gate")}
    for name, turned in (("out", -1), ("in", -1), ("gate", 1)):
        w[name][2, 7] = turned * w[name][0, 5]  # the same neuron, turned around twice
        w[name][3, 0] = w[name][2, 7] + 0.2 * w[name][1, 1]  # near it
        w[name][1, 9] = w[name][1, 8]  # a second group
    w["out"][3, 20], w["in"][3, 20] = w["out"][3, 21], -w["in"][3, 21]  # undoes it
    w["gate"][3, 20] = w["gate"][3, 21]
    return w


@pytest.mark.parametrize("gated", [True, False])
def test_redundant_groups_are_connected_components(gated):
    w = related()
    unit = {name: x.reshape(-1, D).astype(np.float64) for name, x in w.items()}
    cosine = {name: (x / np.linalg.norm(x, axis=1, keepdims=True)) for name, x in unit.items()}
    cosine = {name: x @ x.T for name, x in cosine.items()}
    if gated:
        edge = (np.abs(cosine["out"]) >= REDUNDANT) & (np.abs(cosine["in"]) >= REDUNDANT)
        edge &= (cosine["out"] * cosine["in"] > 0) & (cosine["gate"] >= REDUNDANT)
    else:
        edge = (cosine["out"] >= REDUNDANT) & (cosine["in"] >= REDUNDANT)
    reach = edge.copy()
    for _ in range(8):
        reach = reach @ reach
    groups = {tuple(np.flatnonzero(row)) for row in reach if row.sum() > 1}
    assert len(groups) == 2 and (len(max(groups, key=len)) == 3) is gated

    written = vectors_of(w["out"])
    found = Groups(written, vectors_of(w["in"]), vectors_of(w["gate"]) if gated else None)
    find_nearest(written, 3, 400, found.look)
    place_M, group_M = found.members()
    assert {tuple(place_M[group_M == group]) for group in set(group_M)} == groups
    firsts = [place_M[group_M == group][0] for group in range(len(groups))]
    assert firsts == sorted(firsts)


def test_many_equal_neurons_are_one_group():
    w = np.ones((N_LAYERS, WIDTH, D), np.float32)
    found = Groups(vectors_of(w), vectors_of(w), vectors_of(w))
    find_nearest(vectors_of(w), 3, 10**6, found.look)
    place_M, group_M = found.members()
    assert len(place_M) == N_LAYERS * WIDTH and set(group_M.tolist()) == {0}
