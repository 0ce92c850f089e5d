"""Booleans of activations, and how many there are: on a processor by numpy, which is several times as fast at it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def negative(values: Tensor) -> Tensor:
    """Where the sign bit is set."""
    if values.device.type != "cpu":
        return torch.signbit(values)
    return torch.from_numpy(np.signbit(values.float().numpy()))


def above(values: Tensor, edge: float) -> Tensor:
    """Where values, float32, exceed `edge`."""
    if values.device.type != "cpu":
        return values > edge
    return torch.from_numpy(values.numpy() > np.float32(edge))


def only(values: Tensor, mask: Tensor) -> Tensor:
    """The values, 0 where the mask is false."""
    if values.device.type != "cpu":
        return values * mask
    return torch.from_numpy(values.numpy() * mask.numpy())


def count(mask_TN: Tensor) -> Tensor:
    """How often it is true along the first axis: int32 [N]."""
    if mask_TN.device.type != "cpu":
        return mask_TN.sum(0, dtype=torch.int32)
    kind = np.uint8 if len(mask_TN) < 256 else np.int32
    return torch.from_numpy(np.add.reduce(mask_TN.numpy().view(np.uint8), 0, dtype=kind)).to(torch.int32)
