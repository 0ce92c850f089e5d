"""The words that a head of words compares with: a user's, as unit vectors in the space that both towers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from atlas.errors import ModelError, UsageError
from atlas.live.model import LiveModel
from atlas.live.positions import position_arguments
from atlas.live.token_ids import token_ids
from atlas.live.token_roles import special_ids

_AT_ONCE = 64


class Words(NamedTuple):
    """`names`: as the user wrote them. `vectors_WE`: their unit vectors, float32, on the model's device."""

    names: list[str]
    vectors_WE: Tensor


def embedded(text: LiveModel, names: Sequence[str]) -> Words:
    """Each word (or phrase) through the text tower and its projection, divided by its length.

    Raises UsageError for one that has no tokens, that holds a special token, or that is longer than the tower reads.
    """
    before, after = text.around
    longest = (text.max_positions or 1 << 30) - len(before) - len(after)
    special = special_ids(text.tokenizer)
    bare = token_ids(text, list(names))
    for name, ids in zip(names, bare, strict=True):
        if not ids or len(ids) > longest:
            what = "has no tokens" if not ids else f"has {len(ids)} tokens, and {text.model_id} reads {longest}"
            raise UsageError(f"the word {name[:60]!r} {what}", "Correct the file of --words.")
        if special & {*ids} or max(ids) >= text.d_vocab:
            raise UsageError(f"the word {name[:60]!r} holds a token that stands for no text", "Remove it.")
    order = sorted(range(len(bare)), key=lambda index: len(bare[index]))
    found: dict[int, Tensor] = {}
    for start in range(0, len(order), _AT_ONCE):
        part = order[start : start + _AT_ONCE]
        rows = [[*before, *bare[index], *after] for index in part]
        found |= dict(zip(part, _vectors(text, rows), strict=True))
    if not found:
        return Words([], torch.zeros(0, 1, device=text.device))
    vectors_WE = torch.stack([found[index] for index in range(len(bare))]).double()
    length_W = vectors_WE.norm(dim=1)
    if not bool((torch.isfinite(length_W) & (length_W > 0)).all()):
        raise ModelError(f"{text.model_id} gives a word no direction: a vector of zeros, or of no numbers")
    return Words(list(names), (vectors_WE / length_W[:, None]).float())


def _vectors(text: LiveModel, rows: list[list[int]]) -> Tensor:
    """[rows, E] float32: what the text tower's projection gives of right-padded texts."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.int64, device=text.device)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    positions = position_arguments(text, text.model.forward, mask)
    output = "" if text.head is None else text.head.output
    with torch.inference_mode():
        found: Tensor = text.model(input_ids=ids, attention_mask=mask, **positions)[output].float()
    return found.clone()
