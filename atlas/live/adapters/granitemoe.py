"""Granite-MoE: experts in a module beside which, in the shared kind, a fused MLP stands that every token passes."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Experts, Part, Tap, WeightPlace
from atlas.live.adapters.llama import ADAPTER as LLAMA

BLOCK = "model.layers.{layer}"
MLP, SHARED = f"{BLOCK}.block_sparse_moe", f"{BLOCK}.shared_mlp"
GATE, UP = Part(0, 2), Part(1, 2)

ADAPTER = replace(
    LLAMA,
    family="granitemoe",
    mlp=MLP,
    gguf_names={},
    mlp_bias_field=None,
    write_scale="residual_multiplier",
    logit_divisor_field="logits_scaling",
    experts=Experts(
        f"{MLP}.experts",
        router=f"{MLP}.router",
        shared=SHARED,
        shared_inside=False,
        sites={
            "mlp_pre": Tap(f"{SHARED}.input_linear", "output", GATE),
            "mlp_pre_linear": Tap(f"{SHARED}.input_linear", "output", UP),
            "mlp_post": Tap(f"{SHARED}.output_linear", "input"),
        },
        weights={
            "up_proj": WeightPlace(f"{SHARED}.input_linear.weight", part=UP),
            "gate_proj": WeightPlace(f"{SHARED}.input_linear.weight", part=GATE),
            "down_proj": WeightPlace(f"{SHARED}.output_linear.weight", neurons_last=True),
        },
    ),
)
