"""MPT: a plain MLP whose module adds the stream itself, without biases; positions are distances in the attention."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("mpt", "transformer.blocks.{layer}", "ffn.up_proj", "ffn.down_proj", mlp=None),
    activation_field=None,
    activation="gelu",
    final_norm=FinalNorm("transformer.norm_f", "layer"),
    gguf_names={"mpt": "mpt"},
    tokenizers=("GPTNeoXTokenizer",),
)
