"""Trees of patterns against all patterns, one by one."""

from __future__ import annotations

import random

import pytest

from atlas.graph import ANY, FIRES, MOST_DEPTH, MOST_NODES, ROOT, Counts, Graph, Node, Pattern, count


def drawn(rng: random.Random, n: int) -> list[Pattern]:
    return [
        Pattern((rng.randrange(5), *(rng.choice([ANY, 0, 1, 2, 3, 4]) for _ in range(rng.randrange(5)))), rng.random())
        for _ in range(n)
    ]


def one_by_one(patterns: list[Pattern], tokens: list[int]) -> list[float]:
    """The prediction by walking through all patterns at each token."""
    trimmed: dict[tuple[int, ...], list[float]] = {}
    for pattern in patterns:
        names = list(pattern.tokens)
        while names[-1] == ANY:
            names.pop()
        trimmed.setdefault(tuple(names), []).append(pattern.value)
    said = []
    for place in range(len(tokens)):
        fits = [
            (sum(name != ANY for name in names), sum(values) / len(values))
            for names, values in trimmed.items()
            if len(names) <= place + 1 and all(name in (ANY, tokens[place - back]) for back, name in enumerate(names))
        ]
        said.append(max(fits, default=(0, 0.0))[1])
    return said


@pytest.mark.parametrize("seed", range(30))
def test_a_tree_says_what_all_its_patterns_say(seed: int) -> None:
    rng = random.Random(seed)
    patterns = drawn(rng, rng.randrange(1, 40))
    graph = Graph.of(patterns)
    assert Graph(graph.nodes).nodes == graph.nodes  # what is written can be read
    for _ in range(20):
        tokens = [rng.randrange(6) for _ in range(rng.randrange(0, 12))]
        assert graph.predict(tokens) == pytest.approx(one_by_one(patterns, tokens))
    shuffled = list(patterns)
    rng.shuffle(shuffled)
    again = Graph.of(shuffled)
    assert [node[:2] for node in again.nodes] == [node[:2] for node in graph.nodes]
    assert sum(node.n for node in graph.nodes) == len(patterns)


def test_the_more_specific_pattern_decides() -> None:
    graph = Graph.of([Pattern((7,), 0.9), Pattern((7, 3), 0.2), Pattern((7, ANY, 5), 0.4), Pattern((7, ANY), 0.7)])
    assert graph.predict([7]) == [pytest.approx(0.8)]  # of (7) and (7, ANY), which are the same
    assert graph.predict([3, 7])[1] == 0.2
    assert graph.predict([5, 1, 7])[2] == 0.4
    assert graph.predict([5, 3, 7])[2] == 0.4  # of those that name as many the larger one
    assert graph.predict([1, 2])[1] == 0.0


def test_nodes_come_with_the_largest_first_and_any_last() -> None:
    graph = Graph.of([Pattern((1, ANY, 4), 0.95), Pattern((1, 2), 0.6), Pattern((1, 3), 0.8), Pattern((9,), 1.0)])
    assert [(node.token, node.parent) for node in graph.nodes] == [
        (9, ROOT), (1, ROOT), (3, 1), (2, 1), (ANY, 1), (4, 4),
    ]  # fmt: skip
    assert graph.depths == [1, 1, 2, 2, 2, 3]


@pytest.mark.parametrize(
    "nodes",
    [
        [Node(1, 0, 0.5, 1)],  # its own parent
        [Node(1, ROOT, 0.5, 1), Node(2, 2, 0.5, 1), Node(3, 1, 0.5, 1)],  # a circle
        [Node(1, -2, 0.5, 1)],
        [Node(-2, ROOT, 0.5, 1)],
        [Node(ANY, ROOT, 0.5, 1)],
        [Node(1, ROOT, 0.5, 1), Node(1, ROOT, 0.6, 1)],
        [Node(1, ROOT, None, 0), *(Node(1, place, None, 0) for place in range(MOST_DEPTH))],
        [Node(place, ROOT, 0.5, 1) for place in range(MOST_NODES + 1)],
    ],
)
def test_what_is_no_tree_is_refused(nodes: list[Node]) -> None:
    with pytest.raises(ValueError, match=r"it has|its node|two of its nodes"):
        Graph(nodes)


def test_counts_are_those_of_the_tokens() -> None:
    rng = random.Random(1)
    graph = Graph.of(drawn(rng, 20))
    texts = []
    for _ in range(20):
        tokens = [rng.randrange(5) for _ in range(10)]
        texts.append((tokens, [rng.choice([None, rng.random()]) for _ in tokens]))
    pairs = [
        (said >= FIRES, true >= FIRES)
        for tokens, values in texts
        for said, true in zip(graph.predict(tokens), values, strict=True)
        if true is not None
    ]
    counts = count(graph, texts)
    assert counts == Counts(
        pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True)), len(pairs)
    )
    assert counts.precision == counts.found / (counts.found + counts.wrong)
    assert counts.recall == counts.found / (counts.found + counts.missed)
    assert counts.f1 == pytest.approx(2 / (1 / counts.precision + 1 / counts.recall))


def test_scores_of_nothing() -> None:
    assert (Counts(0, 0, 0, 9).precision, Counts(0, 0, 0, 9).recall, Counts(0, 0, 0, 9).f1) == (None, None, None)
    assert (Counts(0, 3, 0, 9).precision, Counts(0, 3, 0, 9).recall, Counts(0, 3, 0, 9).f1) == (0.0, None, 0.0)
    assert (Counts(0, 0, 2, 9).precision, Counts(0, 0, 2, 9).recall, Counts(0, 0, 2, 9).f1) == (None, 0.0, 0.0)
