"""Cohere's Command-R: Llama's MLP beside the attention, after one LayerNorm without bias; the logits are scaled."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import FinalNorm
from atlas.live.adapters.llama import ADAPTER as LLAMA

ADAPTER = replace(
    LLAMA,
    family="cohere",
    final_norm=FinalNorm("model.norm", "layer"),
    gguf_names={"cohere": "command-r", "cohere2": "cohere2"},
    tokenizers=("CohereTokenizer",),
    mlp_bias_field=None,
    logit_scale_field="logit_scale",
    older_fields=("sliding_window_pattern",),
)
