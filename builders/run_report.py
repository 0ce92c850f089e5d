"""What `run` answers: the next token and the generated texts of both passes, as a Document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields

from atlas.answers.kinds import Prose
from atlas.answers.result import Document, Result
from atlas.live.versions import live_versions
from builders.before_after import Comparison, NextToken
from builders.run_config import SECTIONS


def document(comparison: Comparison, notes: list[str]) -> Document:
    """Fields: the prompt, its token ids, and `versions`, what the passes ran with; sections: those of SECTIONS.

    A table leaves out the numbers of tokens, the versions, and texts that nobody asked for.
    """
    texts = (comparison.text_before, comparison.text_after)
    tables = (
        next_tokens(comparison.tokens),
        Result(["before", "after"], [tuple(map(Prose, texts))], single=True),
    )
    return Document(
        {"prompt": comparison.prompt, "prompt_ids": comparison.prompt_ids, "versions": live_versions()},
        dict(zip(SECTIONS, tables, strict=True)),
        notes,
        shown=["prompt", *(SECTIONS if any(texts) else SECTIONS[:1])],
    )


def next_tokens(tokens: Sequence[NextToken]) -> Result:
    """The first of SECTIONS: one row a token."""
    columns = [field.name for field in fields(NextToken)]
    return Result(columns, [astuple(token) for token in tokens], shown=columns[1:])
