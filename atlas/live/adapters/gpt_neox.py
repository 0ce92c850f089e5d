"""GPT-NeoX and Pythia: a plain MLP in ordinary linear layers, attention and MLP side by side or in turn."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm, OlderRope, Tap, WeightPlace

MLP = "gpt_neox.layers.{layer}.mlp"
READ, WRITE = f"{MLP}.dense_h_to_4h", f"{MLP}.dense_4h_to_h"

ADAPTER = Adapter(
    family="gpt_neox",
    gated=False,
    block="gpt_neox.layers.{layer}",
    mlp=MLP,
    activation_field="hidden_act",
    final_norm=FinalNorm("gpt_neox.final_layer_norm", "layer"),
    sites={
        "mlp_pre": Tap(READ, "output"),
        "mlp_post": Tap(WRITE, "input"),
        "resid_post": Tap("gpt_neox.layers.{layer}", "output"),
    },
    weights={
        "up_proj": WeightPlace(f"{READ}.weight", bias=f"{READ}.bias"),
        "down_proj": WeightPlace(f"{WRITE}.weight", neurons_last=True, bias=f"{WRITE}.bias"),
    },
    gguf_names={"gpt_neox": "gptneox"},
    tokenizers=("GPTNeoXTokenizer",),
    lm_heads=("lm_head.weight", "embed_out.weight"),
    recomputed=("attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"),
    older_rope=OlderRope("rotary_emb_base", "rotary_pct", default_share=0.25),
    refusals={
        "mlp_pre_linear": "GPT-NeoX's MLP is not gated, so its activation is not multiplied with anything",
        "gate_proj": "GPT-NeoX's MLP is not gated; its reading weight (dense_h_to_4h) is called up_proj here",
    },
)
