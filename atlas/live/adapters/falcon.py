"""Falcon: a plain MLP beside the attention or after it, with one norm or two, rotary positions or ALiBi."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("falcon", "transformer.h.{layer}", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
    activation_field="activation",
    final_norm=FinalNorm("transformer.ln_f", "layer"),
    gguf_names={"falcon": "falcon"},
    tokenizers=(),
)
