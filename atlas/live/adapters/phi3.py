"""Phi-3 and Phi-4, GLM, GLM-4: Llama's block with gate and up fused in one matrix, gate first.

GLM-4 puts a further norm between the MLP and the residual stream.
"""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.llama import ADAPTER as LLAMA
from atlas.live.adapters.shapes import fused_mlp

ADAPTER = replace(
    LLAMA,
    family="phi3",
    **fused_mlp("model.layers.{layer}", "mlp.gate_up_proj", "mlp.down_proj"),
    gguf_names={"phi3": "phi3"},
    mlp_bias_field=None,
)
