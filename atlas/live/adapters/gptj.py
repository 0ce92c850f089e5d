"""GPT-J and CodeGen: a plain MLP beside the attention, and an LM head with a bias."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("gptj", "transformer.h.{layer}", "mlp.fc_in", "mlp.fc_out"),
    activation_field="activation_function",
    final_norm=FinalNorm("transformer.ln_f", "layer"),
    gguf_names={"gptj": "gptj"},
    tokenizers=("GPT2Tokenizer", "CodeGenTokenizer"),
    recomputed=("attn.bias", "attn.masked_bias", "attn.causal_mask", "attn.embed_positions"),
)
