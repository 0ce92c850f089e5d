"""Prompts of a classification by label words: few-shot examples, the template, and the tokens that answer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from atlas.errors import UnknownNameError, UsageError
from atlas.live.batching import PLACEHOLDER, encode
from atlas.live.model import LiveModel
from atlas.live.token_ids import token_ids
from builders.corpora.text_hash import text_hash

SHOT_END = "\n\n"
Example = tuple[str, str]
"""(text, concept)"""


@dataclass(frozen=True)
class Prompts:
    """Encoded prompts, the concepts in label order, and the first token of each concept's label word."""

    input_ids: list[list[int]]
    gold: list[int]
    """Index of each text's concept in `concepts`."""
    concepts: list[str]
    label_tokens: list[int]
    n_cut: int
    """Texts that were cut to the token limit."""


def make_prompts(
    live: LiveModel,
    examples: Sequence[Example],
    labels: Mapping[str, str],
    template: str,
    shots: Sequence[Example] = (),
    max_tokens: int = 512,
) -> Prompts:
    """Each text in the template, after the same `shots`, each a filled template with its label word.

    Raises UnknownNameError for a concept without a label word; UsageError for a template without exactly one
    {text}, a shot that is also evaluated, and label words that do not begin with a token of their own.
    """
    require_labels([*examples, *shots], labels, "label word")
    overlap = {text_hash(text) for text, _ in shots} & {text_hash(text) for text, _ in examples}
    if overlap:
        raise UsageError("a few-shot example is also evaluated", "Take the shots from texts that are not evaluated.")
    if any(PLACEHOLDER in text for text, _ in shots):
        raise UsageError(f"a few-shot example contains {PLACEHOLDER}", "Choose others with --seed.")
    if template.count(PLACEHOLDER) != 1:
        raise UsageError(f"the template {template!r} must contain {PLACEHOLDER} exactly once")
    before = "".join(template.replace(PLACEHOLDER, text) + labels[concept] + SHOT_END for text, concept in shots)
    encoded, n_cut = encode(live, [text for text, _ in examples], before + template, max_tokens)
    concepts = list(labels)
    index = {concept: number for number, concept in enumerate(concepts)}
    tokens = label_tokens(live, template, labels)
    return Prompts(encoded, [index[concept] for _, concept in examples], concepts, tokens, n_cut)


def require_labels(examples: Sequence[Example], labels: Mapping[str, str], called: str) -> None:
    """Raise UnknownNameError for an example of a concept without what is `called` so in the message."""
    for _, concept in examples:
        if concept not in labels:
            problem = f"no {called} is given for the concept {concept!r}"
            raise UnknownNameError("concept", concept, labels, problem=problem)


def label_tokens(live: LiveModel, template: str, labels: Mapping[str, str]) -> list[int]:
    """The first token of each label word as it follows the filled template.

    Raises UsageError for a word that the tokenizer merges with the prompt or does not know, and for two
    words with the same first token, which no first-token score can tell apart.
    """
    if len(labels) < 2:
        raise UsageError("a classification needs at least 2 labels")
    prompt = template.replace(PLACEHOLDER, "A text.")
    begun = _ids(live, prompt)
    first: dict[int, str] = {}
    for concept, word in labels.items():
        ids = _ids(live, prompt + word)
        if len(ids) <= len(begun) or ids[: len(begun)] != begun:
            raise UsageError(
                f"the label word {word!r} of {concept} does not begin with a token of its own after the template",
                "Begin the word with a space, or end the template differently.",
            )
        token = ids[len(begun)]
        if token == live.tokenizer.unk_token_id:
            raise UsageError(
                f"the tokenizer does not know the label word {word!r} of {concept}", "Choose another word."
            )
        if token in first:
            raise UsageError(
                f"the label words of {first[token]} and {concept} begin with the same token, "
                f"{live.tokenizer.decode([token])!r}",
                f"Choose another word: --label {concept}=WORD.",
            )
        first[token] = concept
    return list(first)


def draw_per_concept(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """At most `count` examples of each concept, drawn with `seed`, in their order."""
    by_concept: dict[str, list[int]] = {}
    for number, (_, concept) in enumerate(examples):
        by_concept.setdefault(concept, []).append(number)
    kept: list[int] = []
    for concept, numbers in by_concept.items():
        # A generator per concept: another concept does not change what is drawn of this one.
        draw = random.Random(f"{seed}/{concept}")
        kept += draw.sample(numbers, count) if len(numbers) > count else numbers
    return [examples[number] for number in sorted(kept)]


def _ids(live: LiveModel, text: str) -> list[int]:
    return token_ids(live, [text])[0]
