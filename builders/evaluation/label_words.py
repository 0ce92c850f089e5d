"""Do the label words hold the model's answer, and would another case or spacing of them hold more of it?

A label word in a case or spacing that the model never writes after the prompt holds next to no probability, and what
the words' first tokens have then is the order of unlikely tokens. docs/evaluation.md has the numbers.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atlas.errors import UsageError
from atlas.live.model import LiveModel
from builders.evaluation.prompts import label_tokens

LITTLE = 0.05
"""Below this share of the probability of the next token, 19 answers in 20 are no label word."""
_CASES: tuple[Callable[[str], str], ...] = (str, str.lower, str.capitalize, str.upper)
_SPACES = (" ", "")
_FLAGS = 12
"""Labels up to which a note spells all of them out."""


@dataclass(frozen=True)
class Spelling:
    """One case and spacing of all label words: concept -> word, and the first token of each, in that order."""

    words: dict[str, str]
    tokens: list[int]


@dataclass(frozen=True)
class LabelWords:
    """What the label words hold of the model's own answer: probability of their first tokens, mean over all texts.

    `best` is the other spelling that holds most, and `best_share` how much; None where there is none to score.
    """

    share: float
    best: dict[str, str] | None
    best_share: float | None

    def note(self) -> str | None:
        """A line where the share is little: how much it is, and what to do; None where it is not."""
        if self.share >= LITTLE:
            return None
        begin = f"the label words hold {self.share:.2%} of the probability, so the scores compare unlikely answers: "
        if self.best is None or self.best_share is None or self.best_share <= self.share:
            return f"{begin}no other case or spacing holds more; show examples (--shots), or change words or template"
        return f"{begin}write {_flags(self.best)}, which would hold {self.best_share:.2%}"


def spellings(
    live: LiveModel,
    template: str,
    labels: Mapping[str, str],
    tokens_of: Callable[[LiveModel, str, Mapping[str, str]], list[int]] = label_tokens,
) -> list[Spelling]:
    """The other cases and spacings of all `labels` together that can be scored by the tokens that `tokens_of` gives.

    Left out are those whose words do not begin with tokens of their own (as label_tokens refuses them), and those of
    which a first token has fewer letters of a word than that of the word as given: " SP", of " SPORTS", also
    begins what is no label, and its share would be of all of that.
    """
    given = tokens_of(live, template, labels)
    least = _letters(live, given)
    found: dict[tuple[int, ...], Spelling] = {}
    for space in _SPACES:
        for case in _CASES:
            words = {concept: space + case(word.lstrip(" ")) for concept, word in labels.items()}
            try:
                tokens = tokens_of(live, template, words)
            except UsageError:
                continue
            if tokens != given and all(np.greater_equal(_letters(live, tokens), least)):
                found.setdefault(tuple(tokens), Spelling(words, tokens))
    return list(found.values())


def columns(given: Sequence[int], others: Sequence[Spelling]) -> list[int]:
    """The tokens whose log-probabilities `measured` wants: those of the given words, then of each other spelling."""
    return [*given, *(token for spelling in others for token in spelling.tokens)]


def measured(logprob_EK: np.ndarray, others: Sequence[Spelling], n_labels: int) -> LabelWords:
    """What given words and other spellings hold, from the model's own log-probabilities of `columns`."""
    prob_ESC = np.exp(logprob_EK).reshape(len(logprob_EK), 1 + len(others), n_labels)
    own, *shares = prob_ESC.sum(axis=2).mean(axis=0).tolist()
    best = max(range(len(others)), key=shares.__getitem__, default=None)
    if best is None:
        return LabelWords(own, None, None)
    return LabelWords(own, others[best].words, shares[best])


def _letters(live: LiveModel, tokens: Sequence[int]) -> list[int]:
    return [len(live.tokenizer.decode([token]).strip()) for token in tokens]


def _flags(words: Mapping[str, str]) -> str:
    pairs = [f"--label {shlex.quote(f'{concept}={word}')}" for concept, word in words.items()]
    return " ".join(pairs if len(pairs) <= _FLAGS else [*pairs[:_FLAGS], "and so on"])
