"""Devices and dtypes by the names that users give them."""

from __future__ import annotations

import re

import torch

from atlas.errors import UsageError

DEVICE_MAP = "map:"
"""Begins a device that is a device map: "map:auto"; atlas/live/spread.py reads the rest."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def one_device(device: str) -> torch.device:
    """auto, cpu, cuda or cuda:N. Raises UsageError for another, and for one that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UsageError(f"unknown device {device!r}", "Use auto, cpu, cuda or cuda:N.")
    target = torch.device(device)
    if target.type == "cuda" and (target.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"there is no device {device}", f"This machine has {torch.cuda.device_count()} CUDA devices.")
    return target


def dtype_called(dtype: str) -> torch.dtype | None:
    """One of DTYPES; None for auto. Raises UsageError."""
    if dtype == "auto":
        return None
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}", f"Use auto, {', '.join(DTYPES)}.")
    return DTYPES[dtype]
