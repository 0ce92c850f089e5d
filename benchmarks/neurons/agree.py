"""When two methods agree about neurons, counted; and how often they would if they spoke of different ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from builders.descriptions.forms import same_word

SHUFFLES, SEED = 10_000, 0
Row = dict[str, Any]
Words = Callable[[Row], Collection[str] | None]
"""What a method says of a neuron, as words; None or none of them: it says nothing."""


class Comparison(NamedTuple):
    """Two methods agree about a neuron where a word of one is a form of a word of the other."""

    question: str
    one: Words
    other: Words


class Agreement(NamedTuple):
    """`n`: neurons of which both methods say something; `agree`: of which they agree.

    `chance`: of how many they agree on average where each neuron has the second method's words of another, drawn at
    random. `p`: share of the shuffles of these words among the neurons, and the words as they are, that agree of as
    many.
    """

    n: int
    agree: int
    chance: float
    p: float


def agrees(one: Collection[str], other: Collection[str]) -> bool:
    """Whether a word of one is a form of a word of the other."""
    return any(same_word(word, another) for word in one for another in other)


def agreement(rows: Sequence[Row], comparison: Comparison) -> Agreement:
    """Of the neurons of which both methods say something. A neuron alone has no chance to compare with: NaN."""
    said = [(comparison.one(row), comparison.other(row)) for row in rows]
    pairs = [(one, other) for one, other in said if one and other]
    n = len(pairs)
    agree_NN = np.array([[agrees(one, other) for _, other in pairs] for one, _ in pairs], dtype=int).reshape(n, n)
    agree = int(np.trace(agree_NN))
    if n < 2:
        return Agreement(n, agree, float("nan"), float("nan"))
    chance = (agree_NN.sum() - agree) / (n - 1)
    rng = np.random.default_rng(SEED)
    order_SN = rng.permuted(np.tile(np.arange(n), (SHUFFLES, 1)), axis=1)
    reached = int((agree_NN[np.arange(n), order_SN].sum(axis=1) >= agree).sum())
    return Agreement(n, agree, float(chance), (reached + 1) / (SHUFFLES + 1))


def of_one(row: Row, comparison: Comparison) -> bool | None:
    """Whether the methods agree about this neuron; None where one says nothing."""
    one, other = comparison.one(row), comparison.other(row)
    return agrees(one, other) if one and other else None


def most_frequent(names: Collection[str]) -> set[str]:
    """The names that occur most often, all of them where several do."""
    counts = {name: list(names).count(name) for name in names}
    return {name for name, count in counts.items() if count == max(counts.values())}
