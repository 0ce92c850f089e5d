"""Qwen2-MoE: the MLP beside the experts has a gate of its own, a number for each token."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Experts, Tap, WeightPlace
from atlas.live.adapters.llama import ADAPTER as LLAMA
from atlas.live.adapters.llama import MLP

SHARED = f"{MLP}.shared_expert"

ADAPTER = replace(
    LLAMA,
    family="qwen2_moe",
    gguf_names={},
    mlp_bias_field=None,
    experts=Experts(
        f"{MLP}.experts",
        router=f"{MLP}.gate",
        shared=SHARED,
        shared_gate=f"{MLP}.shared_expert_gate",
        sites={
            "mlp_pre": Tap(f"{SHARED}.gate_proj", "output"),
            "mlp_pre_linear": Tap(f"{SHARED}.up_proj", "output"),
            "mlp_post": Tap(f"{SHARED}.down_proj", "input"),
        },
        weights={
            "up_proj": WeightPlace(f"{SHARED}.up_proj.weight"),
            "gate_proj": WeightPlace(f"{SHARED}.gate_proj.weight"),
            "down_proj": WeightPlace(f"{SHARED}.down_proj.weight", neurons_last=True),
        },
    ),
)
