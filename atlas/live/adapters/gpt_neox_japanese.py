"""GPT-NeoX Japanese: GPT-NeoX's MLP without biases, in turn with the attention."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm, OlderRope
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("gpt_neox_japanese", "gpt_neox_japanese.layers.{layer}", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
    activation_field="hidden_act",
    final_norm=FinalNorm("gpt_neox_japanese.final_layer_norm", "layer"),
    gguf_names={},
    tokenizers=("GPTNeoXJapaneseTokenizer",),
    lm_heads=("embed_out.weight",),
    older_rope=OlderRope("rotary_emb_base", "rotary_pct", default_share=1.0),
)
