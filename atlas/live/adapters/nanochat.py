"""NanoChat: a plain MLP in Llama's block, with RMSNorm that has no weight, and capped logits."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("nanochat", "model.layers.{layer}", "mlp.fc1", "mlp.fc2"),
    activation_field="hidden_act",
    final_norm=FinalNorm("model.norm", "rms", has_weight=False),
    gguf_names={},
    tokenizers=(),
    logit_softcap_field="final_logit_softcapping",
)
