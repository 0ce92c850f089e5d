"""The text of each token, as a reader should see it."""

from __future__ import annotations

from typing import Any

_WORD_START = "▁"  # how SentencePiece writes a space
_UNDECODABLE = "�"


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
