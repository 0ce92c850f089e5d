"""From one activation per token to what a run keeps: that of one token, the mean, the maximum, or all of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from atlas.errors import UnknownNameError
from atlas.live.expert_pass import Routed
from atlas.sites import POSITIONS


def pool(acts_BTN: Tensor, attention_mask_BT: Tensor, position: str) -> Tensor:
    """Reduce [batch, tokens, width] activations over each text's real tokens, wherever the padding is.

    `last`, `cls` (the first), `mean`, `max` give [batch, width]; `all` gives [real tokens, width], texts in batch order
    and tokens in text order. Of `mask` the token to fill in is the only one that `attention_mask_BT` has. Always
    float32; the mean is summed in float64 first. A text needs a real token.

    Raises UnknownNameError for another position.
    """
    mask_BT = attention_mask_BT.to(acts_BTN.device).bool()
    if position == "cls":
        return acts_BTN[_batch_index(mask_BT), mask_BT.int().argmax(1)].float()
    if position in ("last", "mask"):
        return acts_BTN[_batch_index(mask_BT), last_token(mask_BT)].float()
    if position == "mean":
        # Text by text: a float64 copy of the whole batch would be the largest tensor of a build.
        sums = [
            torch.where(mask_T[:, None], acts_TN, 0).sum(0, dtype=torch.float64)
            for acts_TN, mask_T in zip(acts_BTN, mask_BT, strict=True)
        ]
        return (torch.stack(sums) / mask_BT.sum(1, keepdim=True)).float()
    if position == "max":
        return acts_BTN.masked_fill(~mask_BT[..., None], float("-inf")).amax(1).float()
    if position == "all":
        return acts_BTN[mask_BT].float()
    raise UnknownNameError("position", position, POSITIONS)


def _batch_index(mask_BT: Tensor) -> Tensor:
    return torch.arange(mask_BT.shape[0], device=mask_BT.device)


def last_token(mask_BT: Tensor) -> Tensor:
    """[batch] index of each text's last real token."""
    from_the_end = mask_BT.flip(1).int().argmax(1)  # argmax gives the first of equals
    return mask_BT.shape[1] - 1 - from_the_end


class RoutedValues(NamedTuple):
    """What one expert gives of a batch. Axes: V values, B texts, N units.

    `rows_V`: the text of each value, ascending; `values_VN`: float32. `tokens_B`: how many of each text's real tokens
    were routed there.
    """

    rows_V: Tensor
    values_VN: Tensor
    tokens_B: Tensor


def pool_routed(routed: Routed, attention_mask_BT: Tensor, position: str) -> RoutedValues:
    """As `pool`, over the real tokens that were routed to an expert.

    `last` is the last real token of a text: a text whose last token went elsewhere has no value. `mean` and `max`
    give one to each text with a routed token, `all` one to each routed token.

    Raises UnknownNameError for another position.
    """
    mask_BT = attention_mask_BT.to(routed.acts_RN.device).bool()
    n_texts, length = mask_BT.shape
    real_R = mask_BT.reshape(-1)[routed.tokens_R]
    tokens_R, acts_RN = routed.tokens_R[real_R], routed.acts_RN[real_R]
    row_R = tokens_R // length
    tokens_B = torch.bincount(row_R, minlength=n_texts)
    if position == "last":
        is_last_R = tokens_R % length == last_token(mask_BT)[row_R]
        return RoutedValues(row_R[is_last_R], acts_RN[is_last_R].float(), tokens_B)
    if position == "all":
        return RoutedValues(row_R, acts_RN.float(), tokens_B)
    if position not in ("mean", "max"):
        raise UnknownNameError("position", position, POSITIONS)
    rows_V, place_R = torch.unique(row_R, return_inverse=True)
    shape = (len(rows_V), acts_RN.shape[1])
    if position == "mean":
        sums_VN = torch.zeros(shape, dtype=torch.float64, device=acts_RN.device)
        sums_VN.index_add_(0, place_R, acts_RN.double())
        return RoutedValues(rows_V, (sums_VN / tokens_B[rows_V][:, None]).float(), tokens_B)
    most_VN = torch.full(shape, float("-inf"), dtype=acts_RN.dtype, device=acts_RN.device)
    most_VN.scatter_reduce_(0, place_R[:, None].expand_as(acts_RN), acts_RN, "amax")
    return RoutedValues(rows_V, most_VN.float(), tokens_B)
