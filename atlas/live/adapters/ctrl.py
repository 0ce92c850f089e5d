"""CTRL: a plain MLP in a sequence of layers, and an LM head with a bias."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("ctrl", "transformer.h.{layer}", "ffn.0", "ffn.2", mlp="ffn"),
    activation_field=None,
    activation="relu",
    final_norm=FinalNorm("transformer.layernorm", "layer"),
    gguf_names={},
    tokenizers=("CTRLTokenizer",),
)
