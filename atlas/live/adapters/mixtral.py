"""Mixtral, OLMoE and Qwen3-MoE: Llama's block with experts in the MLP's place, or in some layers an MLP."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Experts
from atlas.live.adapters.llama import ADAPTER as LLAMA
from atlas.live.adapters.llama import MLP

ADAPTER = replace(
    LLAMA,
    family="mixtral",
    gguf_names={},
    mlp_bias_field=None,
    experts=Experts(f"{MLP}.experts", router=f"{MLP}.gate"),
)
