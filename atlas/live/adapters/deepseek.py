"""DeepSeek-V2, V3 and V3.2, GLM-4-MoE and others: experts, and beside them an MLP that every token passes.

The first layers, or some others, have an MLP alone.
"""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Experts, Tap, WeightPlace
from atlas.live.adapters.llama import ADAPTER as LLAMA
from atlas.live.adapters.llama import MLP

SHARED = f"{MLP}.shared_experts"

ADAPTER = replace(
    LLAMA,
    family="deepseek",
    gguf_names={},
    mlp_bias_field=None,
    experts=Experts(
        f"{MLP}.experts",
        router=f"{MLP}.gate",
        shared=SHARED,
        sites={
            "mlp_pre": Tap(f"{SHARED}.gate_proj", "output"),
            "mlp_pre_linear": Tap(f"{SHARED}.up_proj", "output"),
            "mlp_post": Tap(f"{SHARED}.down_proj", "input"),
        },
        weights={
            "up_proj": WeightPlace(f"{SHARED}.up_proj.weight", bias=f"{SHARED}.up_proj.bias"),
            "gate_proj": WeightPlace(f"{SHARED}.gate_proj.weight", bias=f"{SHARED}.gate_proj.bias"),
            "down_proj": WeightPlace(f"{SHARED}.down_proj.weight", neurons_last=True, bias=f"{SHARED}.down_proj.bias"),
        },
    ),
)
