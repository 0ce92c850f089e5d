"""BioGPT: OPT's block under names of its own."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("biogpt", "biogpt.layers.{layer}", "fc1", "fc2", mlp=None),
    activation_field="hidden_act",
    final_norm=FinalNorm("biogpt.layer_norm", "layer"),
    gguf_names={},
    tokenizers=("BioGptTokenizer",),
    lm_heads=("output_projection.weight",),
)
