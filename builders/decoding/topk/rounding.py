"""How bfloat16 products round: constants, and the one switch the proofs need."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

LOG2E = math.log2(math.e)
ROUND = 2.0**-8 * (1 + 2.0**-6)  # unit roundoff of bfloat16, with room for the arithmetic on bounds
TINY = 2.0**-126  # smaller numbers may be flushed to zero


@contextmanager
def float32_sums(device: torch.device) -> Iterator[None]:
    """Within it a GPU adds up bfloat16 products in float32 from end to end, as processors do anyway."""
    if device.type != "cuda":
        yield
        return
    settings = torch.backends.cuda.matmul
    before = settings.allow_bf16_reduced_precision_reduction
    settings.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        settings.allow_bf16_reduced_precision_reduction = before
