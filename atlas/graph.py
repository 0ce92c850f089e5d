"""The pattern graph of a neuron: which token, after which others, makes it fire; and what that says of new text.

A pattern is read backwards from the token that the neuron fires at: the token itself, the one before it, and so on,
each a token id or ANY. Patterns with a common start share its nodes, so that all of them are one tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

ANY = -1
"""A token that does not matter."""
ROOT = -1
"""The parent of the tokens that the neuron fires at."""
MOST_NODES, MOST_DEPTH = 16384, 32
FIRES = 0.5
"""A neuron fires where its activation is at least this part of its largest."""


class Pattern(NamedTuple):
    """`tokens`: backwards, the first is no ANY. `value`: the activation there, as a part of the neuron's largest."""

    tokens: tuple[int, ...]
    value: float


class Node(NamedTuple):
    """`parent`: place of the node after it in the text, which comes before it in the list; ROOT for the firing token.

    `value`: mean of the patterns that end here, as a part of the neuron's largest activation; None where none does.
    `n`: how many do.
    """

    token: int
    parent: int
    value: float | None
    n: int


class Graph:
    """A tree of patterns, as a list of nodes in which parents come first."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Raises ValueError for what is no such tree, or too large."""
        self.nodes = list(nodes)
        depth: list[int] = []
        if len(self.nodes) > MOST_NODES:
            raise ValueError(f"it has {len(self.nodes)} nodes, and {MOST_NODES} are read")
        for place, node in enumerate(self.nodes):
            if not ROOT <= node.parent < place or node.token < ANY or (node.parent == ROOT and node.token == ANY):
                raise ValueError(f"its node {place} is none")
            depth.append(1 if node.parent == ROOT else depth[node.parent] + 1)
            if depth[-1] > MOST_DEPTH:
                raise ValueError(f"its node {place} is deeper than {MOST_DEPTH}")
        self.depths = depth
        if len({(node.parent, node.token) for node in self.nodes}) < len(self.nodes):
            raise ValueError("two of its nodes are the same")

    @classmethod
    def of(cls, patterns: Iterable[Pattern]) -> Graph:
        """The tree of some patterns, whose last ANYs are dropped; children with the largest values come first."""
        values: dict[tuple[int, ...], list[float]] = {}
        for pattern in patterns:
            tokens = pattern.tokens
            while tokens[-1] == ANY:
                tokens = tokens[:-1]
            values.setdefault(tokens, []).append(pattern.value)
        best: dict[tuple[int, ...], float] = {}
        for tokens, found in values.items():
            for length in range(1, len(tokens) + 1):
                start = tokens[:length]
                best[start] = max(best.get(start, -1.0), *found)
        children: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        for start in sorted(best, key=lambda start: (start[-1] == ANY, -best[start], start[-1])):
            children.setdefault(start[:-1], []).append(start)
        nodes: list[Node] = []
        stack = [(start, ROOT) for start in reversed(children.get((), []))]
        while stack:
            start, parent = stack.pop()
            ended = values.get(start, [])
            nodes.append(Node(start[-1], parent, sum(ended) / len(ended) if ended else None, len(ended)))
            stack += [(child, len(nodes) - 1) for child in reversed(children.get(start, []))]
        return cls(nodes)

    @cached_property
    def _children(self) -> dict[int, dict[int, int]]:
        found: dict[int, dict[int, int]] = {}
        for place, node in enumerate(self.nodes):
            found.setdefault(node.parent, {})[node.token] = place
        return found

    def predict(self, tokens: Sequence[int]) -> list[float]:
        """The activation at each token of a text, as a part of the neuron's largest; 0 where no pattern fits.

        Of several patterns the one that names most tokens decides; of those the largest.
        """
        return [self._at(tokens, place) for place in range(len(tokens))]

    def _at(self, tokens: Sequence[int], place: int) -> float:
        best, value = 0, 0.0
        first = self._children.get(ROOT, {}).get(tokens[place])
        stack = [] if first is None else [(first, place, 1)]
        while stack:  # in a tree, so each node is met once at most
            node, at, named = stack.pop()
            ended = self.nodes[node].value
            if ended is not None and (named, ended) > (best, value):
                best, value = named, ended
            if at == 0:
                continue
            below = self._children.get(node, {})
            for token, more in ((tokens[at - 1], 1), (ANY, 0)):
                if token in below:
                    stack.append((below[token], at - 1, named + more))
        return value


class Counts(NamedTuple):
    """Tokens by whether a neuron fires there and whether its graph says so."""

    found: int
    wrong: int
    missed: int
    n: int

    @property
    def precision(self) -> float | None:
        """Of the tokens that the graph names, the share at which the neuron fires; None where it names none."""
        return self.found / (self.found + self.wrong) if self.found + self.wrong else None

    @property
    def recall(self) -> float | None:
        """Of the tokens at which the neuron fires, the share that the graph names; None where there are none."""
        return self.found / (self.found + self.missed) if self.found + self.missed else None

    @property
    def f1(self) -> float | None:
        """Their harmonic mean: 0 where nothing is found, None where there is nothing to find or name."""
        either = 2 * self.found + self.wrong + self.missed
        return 2 * self.found / either if either else None


def count(graph: Graph, texts: Iterable[tuple[Sequence[int], Sequence[float | None]]]) -> Counts:
    """Compare a graph with the activations of texts, as parts of the neuron's largest; None: a token does not count."""
    found = wrong = missed = n = 0
    for tokens, activations in texts:
        for said, true in zip(graph.predict(tokens), activations, strict=True):
            if true is None:
                continue
            n += 1
            names, fires = said >= FIRES, true >= FIRES
            found += names and fires
            wrong += names and not fires
            missed += fires and not names
    return Counts(found, wrong, missed, n)
