"""GPT-BigCode and GPT-Neo: GPT-2's block in ordinary linear layers."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("gpt_bigcode", "transformer.h.{layer}", "mlp.c_fc", "mlp.c_proj"),
    activation_field="activation_function",
    final_norm=FinalNorm("transformer.ln_f", "layer"),
    gguf_names={"gpt_bigcode": "starcoder"},
    tokenizers=("GPT2Tokenizer",),
    recomputed=(
        "attn.bias",
        "attn.masked_bias",
        "attn.attention.bias",
        "attn.attention.masked_bias",
        "transformer.bias",
    ),
)
