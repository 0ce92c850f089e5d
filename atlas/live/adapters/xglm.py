"""XGLM: OPT's block, its norm before the LM head beside the blocks."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("xglm", "model.layers.{layer}", "fc1", "fc2", mlp=None),
    activation_field="activation_function",
    final_norm=FinalNorm("model.layer_norm", "layer"),
    gguf_names={},
    tokenizers=("XGLMTokenizer",),
)
