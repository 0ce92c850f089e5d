"""Granite: Llama's block, where what each half of it gives is scaled before it is added, and the logits are divided."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.llama import ADAPTER as LLAMA

ADAPTER = replace(
    LLAMA,
    family="granite",
    gguf_names={"granite": "granite"},
    tokenizers=("GPT2Tokenizer",),
    write_scale="residual_multiplier",
    logit_divisor_field="logits_scaling",
)
