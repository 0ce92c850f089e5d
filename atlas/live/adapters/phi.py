"""Phi-1 and Phi-2: a plain MLP beside the attention, and an LM head with a bias."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm, OlderRope
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("phi", "model.layers.{layer}", "mlp.fc1", "mlp.fc2"),
    activation_field="hidden_act",
    final_norm=FinalNorm("model.final_layernorm", "layer"),
    gguf_names={"phi": "phi2"},
    tokenizers=("CodeGenTokenizer",),
    older_rope=OlderRope(default_share=0.5),
)
