"""Phi-3.5-MoE: Mixtral's experts behind a router of its own, and a LayerNorm before the LM head."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Experts, FinalNorm
from atlas.live.adapters.llama import ADAPTER as LLAMA
from atlas.live.adapters.llama import MLP

ADAPTER = replace(
    LLAMA,
    family="phimoe",
    gguf_names={},
    mlp_bias_field=None,
    final_norm=FinalNorm("model.norm", "layer"),
    experts=Experts(f"{MLP}.experts", router=f"{MLP}.router"),
)
