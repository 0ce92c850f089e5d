"""Detectors on made-up activations: neurons that tell a concept are found, and texts left out have no part in it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.ranges.detectors import ARMS, MANY, arms_of, detectors


@pytest.fixture
def acts() -> tuple[np.ndarray, np.ndarray]:
    """60 texts of 3 classes; neurons 3, 70, 200 tell class 1, each wrong about other texts."""
    draw = np.random.default_rng(4)
    labels_E = np.repeat([0, 1, 2], 20)
    acts_EN = draw.normal(size=(60, 300)).astype(np.float32)
    for place, neuron in enumerate((3, 70, 200)):
        acts_EN[labels_E == 1, neuron] = 5 + draw.random(20)
        acts_EN[20 + place, neuron] = 0  # one text of the class that this neuron misses
    return acts_EN, labels_E


def test_the_neurons_that_tell_come_first_and_outvote_their_errors(acts: tuple[np.ndarray, np.ndarray]) -> None:
    acts_EN, labels_E = acts
    found = detectors(acts_EN, labels_E, 3, [np.ones(60, bool)])[0][1]
    assert set(found.neurons_K[:3].tolist()) == {3, 70, 200}
    arms = dict(zip(ARMS, found.arms(acts_EN), strict=True))
    np.testing.assert_array_equal(arms["3 together"], labels_E == 1)
    assert arms["top 1"][labels_E == 1].mean() == pytest.approx(19 / 20)


def test_texts_left_out_have_no_part_in_it(acts: tuple[np.ndarray, np.ndarray]) -> None:
    acts_EN, labels_E = acts
    kept_E = np.arange(60) % 4 != 0
    changed_EN = acts_EN.copy()
    changed_EN[~kept_E] = 9
    for one, other in zip(
        detectors(acts_EN, labels_E, 3, [kept_E])[0], detectors(changed_EN, labels_E, 3, [kept_E])[0], strict=True
    ):
        for field, value in vars(one).items():
            np.testing.assert_array_equal(value, getattr(other, field))


def test_arms_are_the_first_the_mean_of_many_and_the_majority_of_three() -> None:
    inside_EK = np.random.default_rng(0).random((40, 50)) < 0.5
    three = np.array([0, 7, 9])
    first_E, mean_E, vote_E = arms_of(inside_EK, three)
    for text in range(40):
        assert first_E[text] == inside_EK[text, 0]
        assert mean_E[text] == pytest.approx(sum(inside_EK[text, :MANY]) / MANY)
        assert vote_E[text] == (sum(inside_EK[text, place] for place in three) > 1.5)
