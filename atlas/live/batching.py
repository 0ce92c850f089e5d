"""Texts to token ids to padded batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from atlas.errors import CorpusError, UsageError
from atlas.live.model import LiveModel

PLACEHOLDER = "{text}"


class Encoded(NamedTuple):
    """`input_ids`: one list of token ids per text, in the given order. `n_cut`: how many texts were cut."""

    input_ids: list[list[int]]
    n_cut: int


class Batch(NamedTuple):
    """Right-padded texts, int64 [batch, tokens]; `indices[b]` is the place of row b in the encoded list."""

    indices: list[int]
    input_ids: Tensor
    attention_mask: Tensor


def encode(live: LiveModel, texts: Sequence[str], template: str, max_tokens: int) -> Encoded:
    """Token ids of each text put into `template` (which holds `{text}` once), at most `max_tokens` long.

    The beginning-of-sequence token comes first where `live.add_bos`; no other special token is added. Too
    long an example loses the end of its text and keeps the template's: the last token, which the activations
    are often read at, stays the template's. The model's own maximum length lowers `max_tokens`.

    Raises UsageError for a template without exactly one `{text}` or longer than `max_tokens` by itself, and
    CorpusError for a text of no tokens.
    """
    if template.count(PLACEHOLDER) != 1:
        raise UsageError(f"the template {template!r} must contain {PLACEHOLDER} exactly once")
    limit = min(max_tokens, live.max_positions or max_tokens)
    if len(_ids(live, [template.replace(PLACEHOLDER, "")])[0]) > limit:
        raise UsageError(f"the template alone is longer than {limit} tokens", "Raise the token limit.")
    encoded = _ids(live, [template.replace(PLACEHOLDER, text) for text in texts]) if texts else []
    n_cut = 0
    for index, ids in enumerate(encoded):
        if len(ids) > limit:
            encoded[index] = _cut(live, texts[index], template, limit)
            n_cut += 1
        if not encoded[index]:
            raise CorpusError(f"text {index} has no tokens", "Remove empty texts, or raise the token limit.")
        if max(encoded[index]) >= live.d_vocab:
            raise CorpusError(
                f"text {index} has token {max(encoded[index])}, which {live.model_id} has no embedding for",
                "Remove that special token from the corpus.",
            )
    return Encoded(encoded, n_cut)


def batches(encoded: Sequence[Sequence[int]], max_batch_tokens: int) -> Iterator[Batch]:
    """Batches of texts of similar length, longest first, each at most `max_batch_tokens` with its padding.

    The order depends on nothing but the lengths (ties keep their order). Longest first, so that a batch that
    does not fit into memory fails at the start. Raises UsageError when a single text exceeds the bound.
    """
    order = sorted(range(len(encoded)), key=lambda index: -len(encoded[index]))
    start = 0
    while start < len(order):
        longest = len(encoded[order[start]])
        if longest > max_batch_tokens:
            raise UsageError(
                f"a text of {longest} tokens does not fit into a batch of {max_batch_tokens}",
                "Raise the batch bound or lower the token limit.",
            )
        indices = order[start : start + max_batch_tokens // longest]
        yield _pad([encoded[index] for index in indices], indices, longest)
        start += len(indices)


def _pad(rows: list[Sequence[int]], indices: list[int], length: int) -> Batch:
    input_ids = torch.zeros(len(rows), length, dtype=torch.int64)  # what padding holds is masked anyway
    attention_mask = torch.zeros_like(input_ids)
    for row, ids in enumerate(rows):
        input_ids[row, : len(ids)] = torch.tensor(ids)
        attention_mask[row, : len(ids)] = 1
    return Batch(indices, input_ids, attention_mask)


def _ids(live: LiveModel, prompts: list[str]) -> list[list[int]]:
    tokenized = live.tokenizer(prompts, add_special_tokens=False, verbose=False)["input_ids"]
    first = [live.tokenizer.bos_token_id] if live.add_bos else []
    return [first + ids for ids in tokenized]


def _cut(live: LiveModel, text: str, template: str, limit: int) -> list[int]:
    """The longest start of `text` that fits with the template around it, by bisection over characters."""
    fits, best, too_long = 0, _ids(live, [template.replace(PLACEHOLDER, "")])[0], len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        ids = _ids(live, [template.replace(PLACEHOLDER, text[:middle])])[0]
        if len(ids) <= limit:
            fits, best = middle, ids
        else:
            too_long = middle
    return best
