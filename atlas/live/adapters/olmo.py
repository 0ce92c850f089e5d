"""OLMo: Llama's block with a LayerNorm that has neither weight nor bias."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import FinalNorm
from atlas.live.adapters.llama import ADAPTER as LLAMA

ADAPTER = replace(
    LLAMA,
    family="olmo",
    final_norm=FinalNorm("model.norm", "layer", has_weight=False),
    gguf_names={"olmo": "olmo"},
    tokenizers=("GPTNeoXTokenizer",),
    mlp_bias_field=None,
)
