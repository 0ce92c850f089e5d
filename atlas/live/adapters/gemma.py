"""Gemma 2 and the text-only Gemma 3.

The modules carry Llama's names. Different are the config field of the activation function, the RMSNorm that
multiplies by (1 + weight), and a further norm between the MLP and the residual stream: what down_proj
writes reaches the stream normalised and rescaled.
"""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import FinalNorm, OlderRope
from atlas.live.adapters.llama import ADAPTER as LLAMA

ADAPTER = replace(
    LLAMA,
    family="gemma",
    activation_field="hidden_activation",
    final_norm=FinalNorm("model.norm", "rms", offset=1.0),
    gguf_names={"gemma2": "gemma2", "gemma3_text": "gemma3"},
    tokenizers=("GemmaTokenizer",),
    mlp_out_norm="model.layers.{layer}.post_feedforward_layernorm",
    mlp_bias_field=None,
    logit_softcap_field="final_logit_softcapping",
    attention_softcap_field="attn_logit_softcapping",
    older_rope=OlderRope(local_theta="rope_local_base_freq"),
    older_fields=("sliding_window_pattern",),
)
