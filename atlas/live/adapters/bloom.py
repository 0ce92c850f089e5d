"""BLOOM: a plain MLP whose module adds the stream itself, with a GELU of its own and positions from the mask."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm, Requirement
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("bloom", "transformer.h.{layer}", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h", mlp=None),
    activation_field=None,
    activation="gelu_fast",
    final_norm=FinalNorm("transformer.ln_f", "layer"),
    gguf_names={"bloom": "bloom"},
    tokenizers=(),
    requires=(
        Requirement("apply_residual_connection_post_layernorm", (False,), "every block normalises the stream itself"),
        Requirement("slow_but_exact", (False,), "its matrices are applied in slices"),
    ),
)
