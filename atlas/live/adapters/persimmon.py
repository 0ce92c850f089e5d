"""Persimmon: GPT-NeoX's MLP in a block under Llama's names."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm, OlderRope
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("persimmon", "model.layers.{layer}", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
    activation_field="hidden_act",
    final_norm=FinalNorm("model.final_layernorm", "layer"),
    gguf_names={},
    tokenizers=("LlamaTokenizer",),
    older_rope=OlderRope(default_share=0.5),
)
