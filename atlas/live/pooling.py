"""From one activation per token to what a run keeps: that of one token, the mean, the maximum, or all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from atlas.errors import UnknownNameError
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
