"""LFM2-MoE: experts after the first layers, which have LFM2's MLP."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Experts
from atlas.live.adapters.lfm2 import ADAPTER as LFM2

ADAPTER = replace(
    LFM2,
    family="lfm2_moe",
    gguf_names={},
    experts=Experts(f"{LFM2.mlp}.experts", router=f"{LFM2.mlp}.gate"),
)
