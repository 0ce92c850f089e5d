"""Words, shares and intervals of the flash benchmark."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.flash.concepts import CONCEPTS
from benchmarks.flash.statistics import (
    difference_interval,
    distinct_share,
    perplexity_interval,
    share_interval,
    speaks_of,
    wilson,
    words_of,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I love DOGS.", True),
        ("my dog's bowl", True),
        ("a dog-like animal", True),
        ("puppy\nlove", True),
        ("the dogma of hotdogs", False),
        ("", False),
    ],
)
def test_a_word_counts_only_as_a_whole_word(text, expected):
    assert speaks_of(text, {"dog", "dogs", "puppy"}) is expected


def test_words_of_leaves_out_digits_and_underscores():
    assert words_of("Été 2024: snake_case, it's") == ["été", "snake", "case", "it", "s"]


def test_distinct_share_is_the_mean_over_texts_and_skips_empty_ones():
    assert distinct_share(["dog dog Dog dog", "one two", "..."]) == pytest.approx((0.25 + 1) / 2)
    assert np.isnan(distinct_share(["", "?"]))


@pytest.mark.parametrize(("successes", "n"), [(0, 200), (200, 200), (7, 20), (113, 240)])
def test_wilson_equals_scipy(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_wordings_that_differ_widen_the_interval():
    mixed = np.tile([True, False], (1, 10, 10))
    clustered = np.repeat([True, False], 5)[None, :, None] & np.ones((1, 10, 20), bool)
    (share, *narrow), (same_share, *wide) = share_interval(mixed), share_interval(clustered)
    assert share == same_share == 0.5
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_an_interval_without_hits_has_a_width():
    share, low, high = share_interval(np.zeros((4, 10, 5), bool))
    assert (share, low) == (0.0, 0.0) and high == pytest.approx(wilson(0, 200)[1])


def test_draws_of_neurons_are_resampled_too():
    by_draw = np.broadcast_to(np.array([True, False, False, False])[:, None, None], (4, 10, 5))
    _, low, high = share_interval(by_draw)
    assert low == 0.0 and high >= 0.5


def test_the_difference_is_paired():
    generator = np.random.default_rng(1)
    before = generator.random((10, 20)) < 0.5
    assert difference_interval(before, before) == (0.0, 0.0, 0.0)
    gain, low, high = difference_interval(np.zeros((10, 20), bool), before)
    assert gain == before.mean() and low < gain < high


def test_perplexity_weighs_tokens_alike():
    loss, tokens = np.array([[10.0, 2.0], [3.0, 9.0]]), np.array([[5, 4], [1, 10]])
    value, low, high = perplexity_interval(loss, tokens)
    assert value == pytest.approx(np.exp(24 / 20)) and low <= value <= high


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: concept.name)
def test_questions_are_apart_and_name_no_answer(concept):
    questions = concept.test + concept.development
    assert len(concept.test) >= 10 and len(set(questions)) == len(questions)
    assert not any(speaks_of(question, concept.words | concept.near) for question in questions)
    assert not concept.words & concept.near
