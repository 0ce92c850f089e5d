"""From an exemplar to patterns: the shortest context, the tokens of it that matter, and others that do as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from atlas.graph import ANY, FIRES, MOST_DEPTH, Pattern

Tokens = tuple[int, ...]
Read = Callable[[Sequence[Tokens]], Sequence[float]]
"""Sequences -> the activation at the last token of each, as a part of the neuron's largest."""

KEPT = 0.5
"""The shortest context is the one that keeps this part of the exemplar's activation."""
MATTERS = 0.5
"""A token matters where the activation falls by this part, on average, when it is replaced."""
REPLACEMENTS = 4
"""Tokens drawn from the running text that stand in for each token of the context."""
SUBSTITUTES = 8
"""Tokens with the nearest embeddings that are tried in the place of one that matters."""
SUBSTITUTED = 5
"""Tokens that this is done for: the one that the neuron fires at, and the nearest before it that matter."""
_STEPS = (8, 16, MOST_DEPTH - 1)
"""Lengths of context up to which all are tried before longer ones are."""


class Around(NamedTuple):
    """What patterns are made with. `prefix`: what every text begins with (the beginning-of-sequence token, if any).

    `drawn`: tokens of the running text to replace others by; `near`: a token -> those like it.
    """

    read: Read
    prefix: Tokens
    drawn: np.ndarray
    near: Callable[[int], Sequence[int]]


def patterns_of(context: Tokens, token: int, around: Around, seed: int) -> list[Pattern]:
    """The patterns of one exemplar: `token` after `context` (without the prefix). The first is the exemplar's own.

    The others have one token replaced by one like it, where the neuron still fires: their value is the exemplar's times
    what the replacement leaves of it in the short context. Deterministic for a seed.
    """
    short = shortest(context, token, around)
    whole, value = around.read([(*around.prefix, *each, token) for each in (context, short)])
    kept = important(short, token, value, around, seed)
    own = [token, *(each if matters else ANY for each, matters in zip(reversed(short), reversed(kept), strict=True))]
    found = [Pattern(tuple(own), whole)]
    if value <= 0:
        return found
    named = [place for place, each in enumerate(own) if each != ANY][:SUBSTITUTED]
    tried = [(place, other) for place in named for other in around.near(own[place])]
    sequence = (*short, token)
    sequences = []
    for place, other in tried:
        at = len(sequence) - 1 - place
        sequences.append((*around.prefix, *sequence[:at], other, *sequence[at + 1 :]))
    for (place, other), left in zip(tried, around.read(sequences), strict=True):
        if whole * left / value >= FIRES:
            found.append(Pattern((*own[:place], other, *own[place + 1 :]), whole * left / value))
    return found


def shortest(context: Tokens, token: int, around: Around) -> Tokens:
    """The fewest last tokens of `context` with which the activation is at least KEPT of that with all of it.

    Without a prefix at least one token stays, where there is one: a model treats the first token of a text apart.
    With none short enough for a graph, the longest that is.
    """
    [whole] = around.read([(*around.prefix, *context, token)])
    tried = 0 if around.prefix or not context else 1
    for step in _STEPS:
        lengths = range(tried, min(step, len(context)) + 1)
        candidates = [context[len(context) - length :] for length in lengths]
        values = around.read([(*around.prefix, *each, token) for each in candidates])
        for each, value in zip(candidates, values, strict=True):
            if value >= KEPT * whole:
                return each
        tried = step + 1
    return context[-(MOST_DEPTH - 1) :]


def important(context: Tokens, token: int, value: float, around: Around, seed: int) -> list[bool]:
    """For each token of a context whether the activation falls by MATTERS or more when others stand in its place."""
    if not context or value <= 0:
        return [False] * len(context)
    random = np.random.default_rng([seed, len(context), token])
    sequences = []
    for place in range(len(context)):
        for other in random.choice(around.drawn, REPLACEMENTS).tolist():
            sequences.append((*around.prefix, *context[:place], other, *context[place + 1 :], token))
    values_CR = np.asarray(around.read(sequences), np.float64).reshape(len(context), REPLACEMENTS)
    return [bool(each) for each in 1 - values_CR.mean(axis=1) / value >= MATTERS]
