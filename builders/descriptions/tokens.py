"""The describer `tokens`: sentences by fixed rules, without a model. What there is no data for is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from atlas.schema.description_tables import LONGEST_TEXT
from builders.descriptions.choice import Side
from builders.descriptions.evidence import Evidence, Source, Told
from builders.descriptions.forms import form_of, grouped, kind_of, quoted, same_word

FIRING, READ, WRITTEN = 6, 5, 8
"""Words that a sentence names of exemplars, of weights that read, of the one that writes."""
LONGEST_FORM = 30
TELLING = 0.25
"""The least held-out coverage - leakage of a concept that is worth a word."""
OFTEN = 3
"""Shown exemplars that have a word before their token in common, at least, and a quarter of all."""


class Written(NamedTuple):
    """A sentence, and the kinds of evidence that it is made of."""

    text: str
    evidence: list[str]


def describe(side: Side, evidence: Evidence, source: Source) -> Written | None:
    """The sentence of one side; None where the atlas says nothing about it."""
    parts = _input(side, evidence, source) if side.side == "input" else _output(side, evidence)
    if not parts:
        return None
    used, phrases = [kind for kind, _ in parts], [phrase for _, phrase in parts]
    while len(text := _sentence(phrases)) > LONGEST_TEXT:  # of words with many escapes
        used, phrases = used[:-1], phrases[:-1]
        if not phrases:
            return None
    return Written(text, list(dict.fromkeys(used)))


def _sentence(phrases: Sequence[str]) -> str:
    text = "; ".join(phrases)
    return f"{text[:1].upper()}{text[1:]}."


def _input(side: Side, evidence: Evidence, source: Source) -> list[tuple[str, str]]:
    parts = []
    firing = _firing(side, evidence, source)
    if firing is not None:
        forms, phrase = firing
        parts.append(("exemplars", phrase))
    else:
        forms = []
    read = [form for form in read_words(side, evidence) if not any(same_word(form, known) for known in forms)][:READ]
    if read:
        verb = "its weights read" if side.sign > 0 else "its weights read, for values below 0,"
        parts.append(("decodings", f"{verb} {_listed(read)}"))
    told = next((each for each in evidence.concepts if each.sign == side.sign), None)
    if told is not None and told.coverage - told.leakage >= TELLING:
        parts.append(("intervals", _told(told)))
    return parts


def _output(side: Side, evidence: Evidence) -> list[tuple[str, str]]:
    written = written_words(side, evidence)[:WRITTEN]
    verb = "promotes" if side.sign > 0 else "below 0, promotes"
    return [("decodings", f"{verb} {_listed(written)}")] if written else []


def _firing(side: Side, evidence: Evidence, source: Source) -> tuple[list[str], str] | None:
    """The words that it fires on in the shown exemplars, and what to say of them; None: there are none."""
    shown = evidence.shown(side)
    around = [source.words(each, 1, 0) for each in shown]
    tokens = [words[-1] for words in around if words]
    found = _usable(grouped((token, 1.0) for token in tokens))
    counts = {form: sum(same_word(form_of(token), form) for token in tokens) for form in found}
    repeated = [form for form in found if counts[form] > 1]
    forms = (repeated or found)[:FIRING]
    if not forms:
        return None
    says = [f"{sum(counts[form] for form in forms)} of {len(tokens)} exemplars"]
    says += filter(None, [kind_of(tokens), _before([words[0] for words in around if len(words) == 2])])
    verb = "responds to" if side.sign > 0 else "is below 0 on"
    return forms, f"{verb} {_listed(forms)} ({', '.join(says)})"


def _before(tokens: Sequence[str]) -> str:
    """What stands before the token often, in single quotes, which name nothing."""
    forms = [form_of(token) for token in tokens]
    common = max(sorted(set(forms)), key=forms.count, default="")
    often = forms.count(common)
    if often < OFTEN or 4 * often < len(forms) or not common.strip() or '"' in common or len(common) > LONGEST_FORM:
        return ""
    return f"after ‘{quoted(common)[1:-1]}’ in {often}"


def _told(told: Told) -> str:
    return (
        f"tells {told.family}/{told.concept} (held out: coverage {told.coverage:.2f}, leakage {told.leakage:.2f}, "
        f"n {told.n})"
    )


def read_words(side: Side, evidence: Evidence) -> list[str]:
    """The words that the neuron's reading weights stand close to, on the side of that sign.

    Where a gate multiplies, it opens for tokens that gate_proj raises, and up_proj decides the sign.
    """
    return _usable(grouped([*_squared(evidence, "gate_proj", 1), *_squared(evidence, "up_proj", side.sign)]))


def written_words(side: Side, evidence: Evidence) -> list[str]:
    """The words that an activation of that sign makes likelier, strongest first."""
    return _usable(grouped(_squared(evidence, "down_proj", side.sign)))


def _squared(evidence: Evidence, weight: str, sign: int) -> list[tuple[str, float]]:
    return [(token, cosine * cosine) for token, cosine in evidence.tokens.get((weight, sign), [])]


def _usable(forms: Sequence[str]) -> list[str]:
    return [form for form in forms if len(form) <= LONGEST_FORM]


def _listed(forms: Sequence[str]) -> str:
    return ", ".join(map(quoted, forms))
