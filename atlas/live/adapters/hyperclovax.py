"""HyperCLOVA X: Granite's block, with a norm after the MLP in some checkpoints, and logits that are multiplied."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.granite import ADAPTER as GRANITE

ADAPTER = replace(
    GRANITE,
    family="hyperclovax",
    gguf_names={},
    mlp_out_norm="model.layers.{layer}.post_norm2",
    logit_scale_field="logits_scaling",
    logit_divisor_field=None,
)
