"""Arcee: Llama without the gate, down_proj(act(up_proj(x))). Nemotron, Jais 2 and Apertus build on it."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("arcee", "model.layers.{layer}", "mlp.up_proj", "mlp.down_proj"),
    activation_field="hidden_act",
    final_norm=FinalNorm("model.norm", "rms"),
    gguf_names={"arcee": "arcee"},
    tokenizers=("LlamaTokenizer",),
    mlp_bias_field="mlp_bias",
)
