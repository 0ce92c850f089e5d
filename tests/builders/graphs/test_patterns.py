"""Patterns of made-up neurons: rules that are known, read without a model."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from atlas.graph import ANY, FIRES, MOST_DEPTH, MOST_NODES, Graph
from builders.graphs import patterns as made
from builders.graphs.patterns import Around, Tokens, important, patterns_of, shortest
from builders.graphs.probe import nearest_tokens
from builders.graphs.work import Place, split_of

WORDS = np.arange(100, 200)


def around(rule: Callable[[Tokens], float], prefix: Tokens = (), near: dict[int, list[int]] | None = None) -> Around:
    def read(sequences: Sequence[Tokens]) -> list[float]:
        assert all(each[: len(prefix)] == prefix for each in sequences)
        return [rule(each[len(prefix) :]) for each in sequences]

    return Around(read, prefix, WORDS, lambda token: (near or {}).get(token, []))


def hot_dog(tokens: Tokens) -> float:
    """Fires on 1 after 2, anywhere in the three tokens before; a little on 1 alone."""
    return 0.0 if tokens[-1] != 1 else 0.9 if 2 in tokens[-4:-1] else 0.2


def test_a_context_is_as_short_as_keeps_half() -> None:
    context = (5, 6, 7, 2, 8, 9)
    assert shortest(context, 1, around(hot_dog, (0,))) == (2, 8, 9)
    assert shortest((5, 6, 7), 1, around(hot_dog, (0,))) == ()
    assert shortest((5, 6, 7), 1, around(hot_dog)) == (7,)  # the first token of a text is apart
    assert shortest((), 1, around(hot_dog)) == ()


@pytest.mark.parametrize("place", [3, 8, 9, 16, 17, 30])
def test_far_tokens_are_found(place: int) -> None:
    context = tuple(range(300, 345))
    context = (*context[:-place], 2, *context[len(context) - place + 1 :])

    def far(tokens: Tokens) -> float:
        return float(2 in tokens)

    assert shortest(context, 1, around(far, (0,))) == context[-place:]


def test_a_context_longer_than_a_graph_is_cut() -> None:
    context = tuple(range(300, 400))
    assert shortest(context, 1, around(lambda tokens: float(300 in tokens), (0,))) == context[-(MOST_DEPTH - 1) :]


def test_tokens_matter_whose_replacement_stops_it() -> None:
    assert important((2, 8, 9), 1, 0.9, around(hot_dog), seed=0) == [True, False, False]
    assert important((), 1, 0.9, around(hot_dog), seed=0) == []
    assert important((2, 8), 1, 0.0, around(hot_dog), seed=0) == [False, False]


def test_the_pattern_and_those_with_tokens_that_do_as_well() -> None:
    def rule(tokens: Tokens) -> float:
        if tokens[-1] not in (1, 11):
            return 0.0
        return 0.8 if 2 in tokens[-4:-1] else 0.7 if 22 in tokens[-4:-1] else 0.1

    found = patterns_of((5, 6, 2, 8, 9), 1, around(rule, (0,), {1: [11, 12], 2: [22, 23]}), seed=0)
    assert [pattern.tokens for pattern in found] == [(1, ANY, ANY, 2), (11, ANY, ANY, 2), (1, ANY, ANY, 22)]
    assert [pattern.value for pattern in found] == pytest.approx([0.8, 0.8, 0.7])
    graph = Graph.of(found)
    rng = random.Random(0)
    for _ in range(200):
        text = [rng.choice([1, 11, 2, 22, 5, 6]) for _ in range(8)]
        for place, said in enumerate(graph.predict(text)):
            if said >= FIRES:
                assert rule(tuple(text[: place + 1])) >= FIRES


def test_a_neuron_that_needs_no_context_has_its_token_alone() -> None:
    found = patterns_of((5, 6, 7), 1, around(lambda tokens: float(tokens[-1] == 1), (0,)), seed=0)
    assert found == [((1,), 1.0)]


def test_the_largest_graph_can_be_read() -> None:
    most = made.SUBSTITUTED * made.SUBSTITUTES + 1
    assert 8 * most * MOST_DEPTH <= MOST_NODES


def test_the_nearest_tokens_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 6)).astype(np.float32)
    rows[7] = 0
    allowed = np.ones(50, bool)
    allowed[[3, 4]] = False
    found = nearest_tokens(torch.tensor(rows), 10, 8, torch.tensor(allowed))
    unit = rows.astype(np.float64) / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    order = [int(token) for token in np.argsort(-(unit @ unit[10])) if allowed[token] and token != 10]
    assert found == order[:8]
    assert len(nearest_tokens(torch.tensor(rows), 10, 100, torch.tensor(allowed))) == 47


def test_exemplars_are_split_by_rank_and_by_text() -> None:
    lists = [
        [1, [4, 5, 6], [1, 2, 3], [3.0, 2.0, -1.0]],
        [2, [7, 8, 9, 10, 11], [0] * 5, [-9.0, -8.0, -7.0, -6.0, -5.0]],
        [3, [8, 20], [1, 1], [0.1, 0.2]],
        [6, [21], [1], [0.3]],
    ]
    split = split_of(lists)
    assert split is not None and split.sign == -1
    assert [each.text_id for each in split.train] == [7, 9, 11]
    assert [each.text_id for each in split.held] == [8, 10]
    assert split.random == [Place(20, 1, 0.2), Place(21, 1, 0.3)]
    top = split_of(lists[:1])
    assert top is not None and (top.sign, top.train, top.held) == (1, [Place(4, 1, 3.0)], [Place(5, 2, 2.0)])
    assert split_of([[1, [4], [1], [3.0]]]) is None
    assert split_of([]) is None
