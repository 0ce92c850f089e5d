"""What a measured score is, and detection: how well a description tells texts that a neuron fires on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from builders.descriptions.forms import form_of, named_in, names_of
from builders.descriptions.held_out import AFTER, Case

NEAR = 4
"""Tokens before the exemplar's own in which the fixed rule looks for a word, and AFTER it: late neurons fire before
the word that they promote."""
Judge = Callable[[str, Sequence[Case]], "list[bool | None]"]
"""(description, texts) -> whether each fits; None: the judge did not say."""


class Score(NamedTuple):
    """`n`: texts or prompts. `control`: the same of a description of another neuron; None: there was none."""

    score: float
    n: int
    control: float | None


def detection(text: str, control: str | None, cases: Sequence[Case], judge: Judge) -> Score | None:
    """Balanced accuracy of a description, and of another neuron's, on the same texts; None: nothing to judge by."""
    found = _accuracy(cases, judge(text, cases)) if cases else None
    if found is None:
        return None
    other = None if control is None else _accuracy(cases, judge(control, cases))
    return Score(*found, None if other is None else other[0])


def _accuracy(cases: Sequence[Case], said: Sequence[bool | None]) -> tuple[float, int] | None:
    """Mean of the shares of firing texts and of near misses that were told right, and how many texts were judged."""
    right: dict[bool, list[bool]] = {True: [], False: []}
    for case, fits in zip(cases, said, strict=True):
        if fits is not None:
            right[case.fires].append(fits == case.fires)
    if not all(right.values()):
        return None
    shares = [sum(each) / len(each) for each in right.values()]
    return sum(shares) / 2, sum(map(len, right.values()))


def by_words(text: str, cases: Sequence[Case]) -> list[bool | None]:
    """The judge of the describer `tokens`: whether a form of a word that the text names is near the token.

    None of everything where the text names no word.
    """
    named = names_of(named_in(text))
    if not named:
        return [None] * len(cases)
    return [any(form_of(word) in named for word in _near(case)) for case in cases]


def _near(case: Case) -> Sequence[str]:
    """The exemplar's own token, NEAR before it, and AFTER it."""
    return case.words[max(0, case.own - NEAR) : case.own + 1 + AFTER]
