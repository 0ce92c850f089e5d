"""The prompts of a file: a text a line, or a .jsonl file whose objects may name a token of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from atlas.errors import CorpusError
from builders.attribution.request import Prompt
from builders.corpora.jsonl import records
from builders.detectors.texts import read_texts

_TOKENS = ("token", "against")
MOST = 10_000
"""Prompts of one file."""


def read_prompts(source: str, column: str, common: Prompt) -> list[Prompt]:
    """In order. `column`: the field with the text; `token` and `against` of an object go before those of `common`.

    Raises what `read_texts` raises, and CorpusError for a token that is no text, or for too many prompts.
    """
    texts = read_texts(source, column)
    if len(texts) > MOST:
        raise CorpusError(f"{source}: {len(texts)} prompts are more than {MOST}", "Divide it.")
    own = list(_own_tokens(source)) if source.lower().endswith(".jsonl") else [{} for _ in texts]
    return [replace(common, text=text, **tokens) for text, tokens in zip(texts, own, strict=True)]


def _own_tokens(source: str) -> Iterator[dict[str, str]]:
    for where, record in records(source):
        found = {name: record[name] for name in _TOKENS if record.get(name) is not None}
        for name, value in found.items():
            if not isinstance(value, str):
                raise CorpusError(f"{where}: its {name} is no text", 'Write "token": " Paris".')
        yield found
