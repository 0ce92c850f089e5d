"""StarCoder 2: a plain MLP under GPT-2's names in a block under Llama's, with LayerNorm."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("starcoder2", "model.layers.{layer}", "mlp.c_fc", "mlp.c_proj"),
    activation_field="hidden_act",
    final_norm=FinalNorm("model.norm", "layer"),
    gguf_names={"starcoder2": "starcoder2"},
    tokenizers=("GPT2Tokenizer",),
)
