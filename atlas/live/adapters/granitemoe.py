"""Granite-MoE: experts in a module beside which, in the shared kind, a fused MLP stands that every token passes."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Experts
from atlas.live.adapters.llama import ADAPTER as LLAMA
from atlas.live.adapters.shapes import fused_mlp

BLOCK = "model.layers.{layer}"
MLP = f"{BLOCK}.block_sparse_moe"
SHARED = fused_mlp(BLOCK, "shared_mlp.input_linear", "shared_mlp.output_linear")

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
        shared=f"{BLOCK}.shared_mlp",
        shared_inside=False,
        sites={name: SHARED["sites"][name] for name in ("mlp_pre", "mlp_pre_linear", "mlp_post")},
        weights=SHARED["weights"],
    ),
)
