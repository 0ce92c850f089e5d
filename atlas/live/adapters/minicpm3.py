"""MiniCPM 3: Llama's block, where what each half of it gives is scaled by the depth of the model before it is added.

What the LM head reads is divided by a number, which is as if the logits were.
"""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.llama import ADAPTER as LLAMA

ADAPTER = replace(
    LLAMA,
    family="minicpm3",
    gguf_names={"minicpm3": "minicpm3"},
    write_scale="residual_scale",
    logit_divisor_field="logits_scaling",
)
