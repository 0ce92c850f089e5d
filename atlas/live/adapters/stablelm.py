"""StableLM: Llama's block with LayerNorm, attention and MLP in turn or side by side."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import FinalNorm
from atlas.live.adapters.llama import ADAPTER as LLAMA

ADAPTER = replace(
    LLAMA,
    family="stablelm",
    final_norm=FinalNorm("model.norm", "layer"),
    gguf_names={"stablelm": "stablelm"},
    tokenizers=("GPTNeoXTokenizer", "GPT2Tokenizer"),
    mlp_bias_field=None,
    older_rope=replace(LLAMA.older_rope, default_share=0.25),
)
