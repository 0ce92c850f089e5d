"""gpt-oss: experts whose two branches stand in turn, with biases, and a clamped form of the gated unit."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Experts
from atlas.live.adapters.llama import ADAPTER as LLAMA
from atlas.live.adapters.llama import MLP

ADAPTER = replace(
    LLAMA,
    family="gpt_oss",
    gguf_names={},
    mlp_bias_field=None,
    experts=Experts(f"{MLP}.experts", router=f"{MLP}.router", activation="clamped_swiglu"),
)
