"""What a pass over a batch is given: the tokens of texts, or the pixels of images.

An image is written as a row of tokens too, all of them its number in the model's table of images: one for the class
token, which stands first, and one for each patch, row by row. So whatever reads tokens reads images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from atlas.live.model import LiveModel
from atlas.live.positions import position_arguments


def pass_inputs(
    live: LiveModel, forward: Callable[..., Any], input_ids_BT: Tensor, mask_BT: Tensor
) -> dict[str, Tensor]:
    """The arguments of `forward`, of `live.model` or its base model, that say what it reads."""
    if live.images is not None:
        return {"pixel_values": live.images.pixels(input_ids_BT[:, 0]).to(live.device, live.dtype)}
    ids_BT, mask_BT = input_ids_BT.to(live.device), mask_BT.to(live.device)
    return {"input_ids": ids_BT, "attention_mask": mask_BT, **position_arguments(live, forward, mask_BT)}
