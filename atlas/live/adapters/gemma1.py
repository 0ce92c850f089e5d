"""The first Gemma: Llama's block with an RMSNorm that multiplies by (1 + weight)."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import FinalNorm
from atlas.live.adapters.llama import ADAPTER as LLAMA

ADAPTER = replace(
    LLAMA,
    family="gemma1",
    final_norm=FinalNorm("model.norm", "rms", offset=1.0),
    gguf_names={"gemma": "gemma"},
    tokenizers=("GemmaTokenizer",),
    mlp_bias_field=None,
)
