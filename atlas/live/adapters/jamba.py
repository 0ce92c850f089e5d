"""Jamba and Bamba: Llama's MLP behind Mamba layers and attention; in some of Jamba's layers experts in its place."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Experts, FinalNorm
from atlas.live.adapters.llama import ADAPTER as LLAMA
from atlas.live.adapters.shapes import gated_mlp

MLP = gated_mlp("model.layers.{layer}", "feed_forward", "gate_proj", "up_proj", "down_proj")

ADAPTER = replace(
    LLAMA,
    family="jamba",
    **MLP,
    final_norm=FinalNorm("model.final_layernorm", "rms"),
    gguf_names={},
    recurrent=True,
    unbounded_fields=("time_step_limit",),
    experts=Experts(f"{MLP['mlp']}.experts", router=f"{MLP['mlp']}.router"),
)
