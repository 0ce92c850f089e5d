"""Which next token stands for a concept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.errors import CorpusError, UsageError

if TYPE_CHECKING:
    from builders.attribution.tokens import Tokens


@dataclass(frozen=True)
class Target:
    """The token of a concept. `whole`: whether it is the whole name, or was named; else it is the name's first."""

    concept: str
    token_id: int
    token: str
    whole: bool


def parse_targets(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """('sports= football', ...) -> (('sports', ' football'), ...). UsageError for what has no =, or a concept twice."""
    found: dict[str, str] = {}
    for text in texts:
        concept, equals, token = text.partition("=")
        if not (concept and equals and token):
            raise UsageError(
                f"--targets {text[:60]!r} names no token of a concept", 'Write --targets "sports= football".'
            )
        if concept in found:
            raise UsageError(f"--targets names {concept[:60]!r} twice", "A concept has one token.")
        found[concept] = token
    return tuple(found.items())


def targets_of(tokens: Tokens, concepts: Sequence[str], named: Mapping[str, str]) -> list[Target]:
    """One a concept, in order: the token that was named, else its name after a space, else that text's first token.

    Raises UsageError for a named token that is none, and CorpusError for a name that has no tokens.
    """
    return [_target(tokens, concept, named.get(concept)) for concept in concepts]


def _target(tokens: Tokens, concept: str, named: str | None) -> Target:
    if named is not None:
        return Target(concept, tokens.one(named), named, True)
    text = f" {concept}"
    pieces = [piece for piece in tokens.pieces(text) if tokens.text(piece).strip()]
    if not pieces:
        raise CorpusError(f"the name of the concept {concept[:60]!r} has no tokens", "Name one with --targets.")
    whole = tokens.has(text)
    token_id = tokens.one(text) if whole else pieces[0]
    return Target(concept, token_id, tokens.text(token_id), whole)
