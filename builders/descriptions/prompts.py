"""What a model is asked: nothing but exemplars, tokens and fixed words goes into a prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from atlas.schema.description_tables import LONGEST_TEXT
from builders.descriptions.choice import Side
from builders.descriptions.evidence import Evidence, Source
from builders.descriptions.forms import quoted
from builders.descriptions.held_out import AFTER, BEFORE, Case
from builders.descriptions.tokens import read_words, written_words
from queries.running_text import Exemplar

MOST_CASES = 8
"""Texts of one question to a judge."""
WORDS = 12
_LONGEST_WINDOW = 400
_DESCRIBE = {
    "input": "Below are {kinds} of one neuron of a language model. {marked}Say in one short sentence what the neuron "
    "responds to. Begin with the subject matter; do not mention neurons, texts or marks.",
    "output": "A neuron of a language model makes the tokens below likelier. Say in one short sentence what they have "
    'in common, and then name up to six of them in double quotes, as in: Names of pets: "dog", "cat".',
}
_JUDGE = (
    "A neuron of a language model is said to respond to this:\n{text}\n\n"
    "In which of the following texts would it respond? Answer with their numbers alone, such as: 2, 5. If there is "
    "none, answer: none.\n\n{cases}"
)


def describing(side: Side, evidence: Evidence, source: Source) -> tuple[str, list[str]] | None:
    """The prompt for one side and the kinds of evidence in it; None where there is nothing to show."""
    if side.side == "output":
        written = written_words(side, evidence)[:WORDS]
        return (_prompt("output", [], _listed(written)), ["decodings"]) if written else None
    shown = [_marked(each, source) for each in evidence.shown(side)]
    read = read_words(side, evidence)[:WORDS]
    kinds = [*["exemplars"] * bool(shown), *["decodings"] * bool(read)]
    if not kinds:
        return None
    parts = [f"{index}. {text}" for index, text in enumerate(shown, start=1)]
    tokens = f"Tokens that its weights read: {_listed(read)}" if read else ""
    return _prompt("input", parts, tokens), kinds


def _prompt(side: str, texts: Sequence[str], tokens: str) -> str:
    kinds = " and ".join([*["texts"] * bool(texts), *["tokens"] * bool(tokens)])
    marked = "It responds to the word in [[ ]], given what stands before it. " if texts else ""
    body = "\n".join(filter(None, [*texts, tokens]))
    return f"{_DESCRIBE[side].format(kinds=kinds, marked=marked)}\n\n{body}"


def _marked(exemplar: Exemplar, source: Source) -> str:
    before = source.words(exemplar, BEFORE, 0)
    after = source.words(exemplar, 0, AFTER)[1:]
    return _line("".join([*before[:-1], f"[[{before[-1]}]]" if before else "", *after]))


def judging(text: str, cases: Sequence[Case]) -> str:
    """The question which of at most MOST_CASES texts fit a description."""
    listed = "\n".join(f"{index}. {_line(''.join(case.words))}" for index, case in enumerate(cases, start=1))
    return _JUDGE.format(text=text, cases=listed)


def judged(reply: str, n: int) -> list[bool | None]:
    """What a reply to `judging` says of each of `n` texts; all None where it says nothing that can be read."""
    found = {int(number) for number in re.findall(r"(?<![\d.])\d{1,3}(?![\d])", reply)}
    if found:
        within = found & set(range(1, n + 1))
        return [index in within for index in range(1, n + 1)] if within else [None] * n
    return [False] * n if re.search(r"\bnone\b", reply.lower()) else [None] * n


def sentence(reply: str) -> str:
    """The first line of a reply as a description: printable, short, not in quotes; '' where nothing is left."""
    lines = [" ".join(_seen(line).split()) for line in reply[: 10 * LONGEST_TEXT].splitlines()]
    text = next(filter(None, lines), "")
    if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
        text = text[1:-1]
    return text[:LONGEST_TEXT].strip()


def _seen(text: str) -> str:
    """Without what a terminal would obey, or what orders text without being seen."""
    return "".join(one if one.isprintable() else " " for one in re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", " ", text))


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_WINDOW]


def _listed(forms: Sequence[str]) -> str:
    return ", ".join(map(quoted, forms))
