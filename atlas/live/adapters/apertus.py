"""Apertus: Arcee's MLP with an activation function that learns two numbers in each layer."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.arcee import ADAPTER as ARCEE

ADAPTER = replace(
    ARCEE,
    family="apertus",
    activation_module="model.layers.{layer}.mlp.act_fn",
    gguf_names={"apertus": "apertus"},
    mlp_bias_field=None,
)
