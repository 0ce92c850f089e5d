"""Falcon-H1: attention and Mamba side by side, then Llama's MLP, whose gate and output are multiplied by numbers."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.bamba import ADAPTER as BAMBA
from atlas.live.adapters.base import Requirement

ADAPTER = replace(
    BAMBA,
    family="falcon_h1",
    logit_scale_field="lm_head_multiplier",
    requires=(
        Requirement(
            "mlp_multipliers", ([1.0, 1.0],), "what the gate reads and what neurons write is not what the weights say"
        ),
    ),
)
