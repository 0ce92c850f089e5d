"""Texts to token ids to padded batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from atlas.errors import CorpusError, ModelError, UsageError
from atlas.live.model import LiveModel
from atlas.live.token_bound import TokenBound, token_bound
from atlas.live.token_ids import token_ids
from atlas.live.token_roles import counting
from atlas.sites import ONE_TOKEN

PLACEHOLDER = "{text}"
SHORT = 1 << 14
"""Characters of a text that is tokenised whole without asking whether that much is needed."""
AT_ONCE = 1 << 20
"""Characters tokenised at once, which take some 200 MB."""
LONGEST = 1 << 22
"""Characters of which the tokens are made at all: about 1 GB."""


Counted = list[list[bool]]
"""For each token of each text whether it counts where activations are pooled."""


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

    The beginning-of-sequence token comes first where `live.add_bos`, and around what an encoder reads the special
    tokens that its tokenizer puts there; no other special token is added. Too long an example loses the end of its
    text and keeps the template's: the last token, which the activations are often read at, stays the template's. The
    model's own maximum length lowers `max_tokens`.

    A text may be of any length: what of it cannot reach the model is not tokenised, with the same outcome.

    Raises UsageError for a template without exactly one `{text}` or longer than `max_tokens` by itself, and
    CorpusError for a text of no tokens, or of too many characters to tokenise where that cannot be avoided.
    """
    encoded, kept = _encoded(live, texts, template, max_tokens)
    return Encoded(encoded, sum(k < len(text) for k, text in zip(kept, texts, strict=True)))


def encode_counted(
    live: LiveModel, texts: Sequence[str], template: str, max_tokens: int, pool: str
) -> tuple[Encoded, Counted]:
    """As `encode`, and which tokens of each text count under `pool` (atlas/sites.py, POOLS): at least one.

    Raises CorpusError for a text of which none does, and what `counting` raises.
    """
    encoded, kept = _encoded(live, texts, template, max_tokens)
    before, after = template.split(PLACEHOLDER)
    counted: Counted = []
    for part in _parts([len(before) + k + len(after) for k in kept]):
        prompts = [(before, texts[index][: kept[index]], after) for index in part]
        counted += counting(live, prompts, [encoded[index] for index in part], pool)
    for index, row in enumerate(counted):
        if not any(row):
            what = "the text" if pool == "text" else "the prompt"
            raise CorpusError(
                f"{_named(texts, index)} has no token that counts: {what} has none but special ones",
                "Remove that text, raise the token limit, or use --position last.",
            )
    return Encoded(encoded, sum(k < len(text) for k, text in zip(kept, texts, strict=True))), counted


def encode_at(
    live: LiveModel, texts: Sequence[str], template: str, max_tokens: int, position: str, pool: str
) -> tuple[Encoded, Counted | None]:
    """As `encode`, and which tokens of each text count where `position` is not that of one token; `mask` has its own.

    Raises ModelError for a position that the model has not, and what `encode_counted` raises.
    """
    if position == "mask":
        return _encode_masked(live, texts, template, max_tokens)
    if position == "cls" and not live.around[0]:
        raise ModelError(
            f"the tokenizer of {live.model_id} puts no token before a text that a head could read",
            "--position cls is of encoders; use last.",
        )
    if position in ONE_TOKEN:
        return encode(live, texts, template, max_tokens), None
    return encode_counted(live, texts, template, max_tokens, pool)


def _encode_masked(live: LiveModel, texts: Sequence[str], template: str, max_tokens: int) -> tuple[Encoded, Counted]:
    """As `encode`, and of each text the one token that counts: the mask, which the template or the text holds once.

    Raises ModelError for a tokenizer without a mask, and CorpusError for a text with none or several.
    """
    mask = live.tokenizer.mask_token_id
    if mask is None:
        raise ModelError(f"the tokenizer of {live.model_id} has no mask token", "Use another --position.")
    encoded, kept = _encoded(live, texts, template, max_tokens)
    counted = [[token == mask for token in ids] for ids in encoded]
    for index, row in enumerate(counted):
        if sum(row) != 1:
            raise CorpusError(
                f"{_named(texts, index)} has {sum(row)} {live.tokenizer.mask_token}, and --position mask reads one",
                f"Write it into the template: --template '{PLACEHOLDER} {live.tokenizer.mask_token}'.",
            )
    return Encoded(encoded, sum(k < len(text) for k, text in zip(kept, texts, strict=True))), counted


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


def counted_mask(batch: Batch, counted: Sequence[Sequence[bool]]) -> Tensor:
    """Bool [batch, tokens]: the tokens of the batch that count; False on padding."""
    mask_BT = torch.zeros(batch.input_ids.shape, dtype=torch.bool)
    for row, index in enumerate(batch.indices):
        mask_BT[row, : len(counted[index])] = torch.tensor(counted[index])
    return mask_BT


def _encoded(
    live: LiveModel, texts: Sequence[str], template: str, max_tokens: int
) -> tuple[list[list[int]], list[int]]:
    """(token ids, how many characters are left) of each text."""
    if template.count(PLACEHOLDER) != 1:
        raise UsageError(f"the template {template!r} must contain {PLACEHOLDER} exactly once")
    limit = min(max_tokens, live.max_positions or max_tokens)
    if len(_ids(live, [template.replace(PLACEHOLDER, "")])[0]) > limit:
        raise UsageError(f"the template alone is longer than {limit} tokens", "Raise the token limit.")
    encoded: list[list[int]] = [[] for _ in texts]
    kept = list(map(len, texts))
    enough = _enough(live, texts, limit)
    for index, reach in enumerate(enough):
        if reach is None and kept[index] > LONGEST:
            raise CorpusError(
                f"{_named(texts, index)} has {kept[index]} characters, and this tokenizer may need them all for "
                f"{limit} tokens; {LONGEST} are taken",
                "Cut that text, or lower the token limit.",
            )
    whole = [index for index, reach in enumerate(enough) if reach is None]
    for part in _parts([kept[index] for index in whole]):
        chosen = [whole[place] for place in part]
        for index, ids in zip(
            chosen, _ids(live, [template.replace(PLACEHOLDER, texts[i]) for i in chosen]), strict=True
        ):
            encoded[index] = ids
    for index, reach in enumerate(enough):
        if reach is not None or len(encoded[index]) > limit:
            encoded[index], kept[index] = _cut(live, texts[index], template, limit, reach)
        if not encoded[index]:
            raise CorpusError(f"text {index} has no tokens", "Remove empty texts, or raise the token limit.")
        if max(encoded[index]) >= live.d_vocab:
            raise CorpusError(
                f"text {index} has token {max(encoded[index])}, which {live.model_id} has no embedding for",
                "Remove that special token from the corpus.",
            )
    return encoded, kept


def _enough(live: LiveModel, texts: Sequence[str], limit: int) -> list[int | None]:
    """For each text the length from which on any start of it is certainly too long; None where not known or short."""
    bound: TokenBound | None = None
    found: list[int | None] = []
    for text in texts:
        if len(text) <= SHORT:
            found.append(None)
            continue
        bound = bound or token_bound(live.tokenizer)
        found.append(bound.enough(text, limit))
    return found


def _parts(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places in order, in parts that have AT_ONCE characters or are one text."""
    part: list[int] = []
    total = 0
    for place, length in enumerate(lengths):
        if part and total + length > AT_ONCE:
            yield part
            part, total = [], 0
        part.append(place)
        total += length
    if part:
        yield part


def _pad(rows: list[Sequence[int]], indices: list[int], length: int) -> Batch:
    input_ids = torch.zeros(len(rows), length, dtype=torch.int64)  # what padding holds is masked anyway
    attention_mask = torch.zeros_like(input_ids)
    for row, ids in enumerate(rows):
        input_ids[row, : len(ids)] = torch.tensor(ids)
        attention_mask[row, : len(ids)] = 1
    return Batch(indices, input_ids, attention_mask)


def _ids(live: LiveModel, prompts: list[str]) -> list[list[int]]:
    first, last = live.surrounding()
    return [[*first, *ids, *last] for ids in token_ids(live, prompts)]


def _cut(live: LiveModel, text: str, template: str, limit: int, enough: int | None) -> tuple[list[int], int]:
    """The longest start of `text` that fits with the template around it, by bisection over characters; its length.

    A start of `enough` characters or more is known not to fit, so the steps there are taken without tokenising.
    """
    fits, best, too_long = 0, _ids(live, [template.replace(PLACEHOLDER, "")])[0], len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if enough is not None and middle >= enough:
            too_long = middle
            continue
        ids = _ids(live, [template.replace(PLACEHOLDER, text[:middle])])[0]
        if len(ids) <= limit:
            fits, best = middle, ids
        else:
            too_long = middle
    return best, fits


def _named(texts: Sequence[str], index: int) -> str:
    """A text by its number and beginning."""
    start = texts[index][:40]
    return f"text {index} ({start!r}{'...' if len(texts[index]) > len(start) else ''})"
