"""The text of each token, as a reader should see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from atlas.live.model import LiveModel

_WORD_START = "▁"  # how SentencePiece writes a space
_UNDECODABLE = "�"


class BothWays(NamedTuple):
    """A vocabulary: the text of a token, and the tokens of a text, ascending."""

    texts: dict[int, str]
    ids: dict[str, list[int]]


_READ: WeakKeyDictionary[object, tuple[Any, BothWays]] = WeakKeyDictionary()
"""By model, with the tokenizer that it was read from: to read a vocabulary takes as long as several passes."""


def vocabulary_of(live: LiveModel) -> BothWays:
    """The vocabulary of a model, read once while the model lives. It is shared: copy it before changing it."""
    found = _READ.get(live.model)
    if found is None or found[0] is not live.tokenizer:
        found = (live.tokenizer, both_ways(vocabulary(live.tokenizer, live.d_vocab)))
        _READ[live.model] = found
    return found[1]


def both_ways(known: Iterable[tuple[int, str]]) -> BothWays:
    """Of tokens as (id, text)."""
    texts, ids = dict(known), dict[str, list[int]]()
    for token_id, text in texts.items():
        ids.setdefault(text, []).append(token_id)
    return BothWays(texts, ids)


def vocabulary(tokenizer: Any, d_vocab: int) -> list[tuple[int, str]]:
    """(token_id, text) of every token that the tokenizer knows, ascending by id.

    Rows of the LM head beyond the tokenizer (`d_vocab` may be padded to a round number) never appear. A
    leading space is kept, also where decoding a single SentencePiece token drops it. A token that holds only
    part of a character's bytes is shown as its raw piece.
    """
    added = {token_id: token.content for token_id, token in tokenizer.added_tokens_decoder.items()}
    ids = sorted(token_id for token_id in set(tokenizer.get_vocab().values()) if 0 <= token_id < d_vocab)
    pieces = tokenizer.convert_ids_to_tokens(ids)
    decoded = tokenizer.batch_decode(
        [[token_id] for token_id in ids], skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return [
        (token_id, added.get(token_id) or _text(piece, text))
        for token_id, piece, text in zip(ids, pieces, decoded, strict=True)
    ]


def _text(piece: str, decoded: str) -> str:
    # Byte-level tokenizers write every byte as another character, so a literal mark means SentencePiece.
    if _WORD_START in piece:
        return piece.replace(_WORD_START, " ")
    return piece if _UNDECODABLE in decoded else decoded
