"""OLMo 2, OLMo 3 and EXAONE 4: Llama's MLP reads the stream as it is, and a norm follows it.

What down_proj writes reaches the stream normalised and rescaled, as in Gemma.
"""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.llama import ADAPTER as LLAMA

ADAPTER = replace(
    LLAMA,
    family="olmo2",
    gguf_names={"olmo2": "olmo2", "olmo3": "olmo2", "exaone4": "exaone4"},
    tokenizers=("GPT2Tokenizer",),
    mlp_out_norm="model.layers.{layer}.post_feedforward_layernorm",
    mlp_bias_field=None,
)
