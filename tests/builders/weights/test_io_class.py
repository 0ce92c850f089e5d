"""IO classes, by a table of the paper's rule that was written down apart from ours."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from atlas.schema.weight_rules import IO_CLASSES
from builders.weights.io_class import cosines, io_classes

# (in·out, |gate·out|, whether gate·in is what both say): 2505.17936.
CLASSES = {
    (1, 1, True): "enrichment",
    (1, 1, False): "atypical enrichment",
    (1, 0, True): "conditional enrichment",
    (1, 0, False): "atypical conditional enrichment",
    (0, 1, True): "proportional change",
    (0, 1, False): "atypical proportional change",
    (0, 0, True): "orthogonal output",
    (0, 0, False): "orthogonal output",
    (-1, 1, True): "depletion",
    (-1, 1, False): "atypical depletion",
    (-1, 0, True): "conditional depletion",
    (-1, 0, False): "atypical conditional depletion",
}
VALUES = {-1: (-1.0, -0.51), 0: (-0.5, 0.0, 0.5), 1: (0.51, 1.0)}


def test_every_combination():
    seen = set()
    for steps in product(VALUES, repeat=3):
        for in_out, gate_out, gate_in in product(*(VALUES[step] for step in steps)):
            (found,) = io_classes(*(np.array([value]) for value in (in_out, gate_out, gate_in)))
            assert found == CLASSES[steps[0], abs(steps[1]), steps[2] == steps[0] * steps[1]], (
                in_out,
                gate_out,
                gate_in,
            )
            seen.add(found)
    assert seen == set(IO_CLASSES)


def test_without_a_gate_and_without_a_direction():
    assert io_classes(np.array([0.6, 0.5, -0.6, np.nan]), None, None) == [
        "enrichment",
        "orthogonal output",
        "depletion",
        None,
    ]
    ones = np.ones(3)
    for place in range(3):
        triple = [np.where(np.arange(3) == 1, np.nan, ones) if place == each else ones for each in range(3)]
        assert io_classes(*triple) == ["enrichment", None, "enrichment"]


def test_cosines_of_rows():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 6, 9)).astype(np.float32)
    a[3] = 0
    found = cosines(torch.from_numpy(a), torch.from_numpy(b))
    a, b = a.astype(np.float64), b.astype(np.float64)
    for n in range(6):
        due = np.nan if n == 3 else a[n] @ b[n] / np.linalg.norm(a[n]) / np.linalg.norm(b[n])
        np.testing.assert_allclose(found[n], due, rtol=1e-12)
