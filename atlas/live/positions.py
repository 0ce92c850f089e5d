"""The positions of tokens, for a forward pass that takes them: counted over real tokens only.

Left to themselves models count the padding too, or work positions out of the mask; some begin at another number than 0.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from atlas.live.model import LiveModel

NAME = "position_ids"


def position_ids(attention_mask: Tensor, first: int = 0) -> Tensor:
    """[batch, tokens] positions that count real tokens only, so that left padding shifts nothing.

    `first`: the number of a text's first token.
    """
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0) + first


def position_arguments(
    live: LiveModel, forward: Callable[..., Any], mask: Tensor, n_tokens: int | None = None
) -> dict[str, Tensor]:
    """What tells `forward`, of `live.model` or its base model, the positions of a pass; {} where it takes none.

    `mask`: [batch, cached tokens + tokens of the pass], 1 on real tokens. `n_tokens`: those of the pass; None: all.
    A model that takes none (its attention is biased by distance) finds them in the mask.
    """
    if NAME not in inspect.signature(forward).parameters:
        return {}
    positions = position_ids(mask, live.first_position)
    return {NAME: positions if n_tokens is None else positions[:, -n_tokens:]}
