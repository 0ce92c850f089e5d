"""LFM2: Llama's MLP under other names, after short convolutions in some blocks and attention in the others."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import FinalNorm
from atlas.live.adapters.llama import ADAPTER as LLAMA
from atlas.live.adapters.shapes import gated_mlp

BLOCK = "model.layers.{layer}"

ADAPTER = replace(
    LLAMA,
    family="lfm2",
    **gated_mlp(BLOCK, "feed_forward", "w1", "w3", "w2"),
    activation_field=None,
    activation="silu",
    final_norm=FinalNorm("model.embedding_norm", "rms"),
    gguf_names={"lfm2": "lfm2"},
    recurrent=True,
    mlp_bias_field=None,
)
