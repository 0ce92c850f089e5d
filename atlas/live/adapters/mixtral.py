"""Mixtral, OLMoE, Qwen3-MoE, MiniMax-M2 and Mellum: Llama's block with experts in the MLP's place.

Qwen3-MoE has layers with an MLP among them.
"""

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
