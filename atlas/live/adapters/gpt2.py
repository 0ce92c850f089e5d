"""GPT-2: a plain MLP, c_proj(act(c_fc(x))), in Conv1D layers, which store [inputs, outputs]."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm, Tap, WeightPlace

MLP = "transformer.h.{layer}.mlp"

ADAPTER = Adapter(
    family="gpt2",
    gated=False,
    block="transformer.h.{layer}",
    mlp=MLP,
    activation_field="activation_function",
    final_norm=FinalNorm("transformer.ln_f", "layer"),
    sites={
        "mlp_pre": Tap(f"{MLP}.c_fc", "output"),
        "mlp_post": Tap(f"{MLP}.c_proj", "input"),
        "resid_post": Tap("transformer.h.{layer}", "output"),
    },
    weights={
        "up_proj": WeightPlace(f"{MLP}.c_fc.weight", neurons_last=True, bias=f"{MLP}.c_fc.bias"),
        "down_proj": WeightPlace(f"{MLP}.c_proj.weight", bias=f"{MLP}.c_proj.bias"),
    },
    gguf_names={"gpt2": "gpt2"},
    tokenizers=("GPT2Tokenizer",),
    recomputed=("attn.bias", "attn.masked_bias"),
    refusals={
        "mlp_pre_linear": "GPT-2's MLP is not gated, so its activation is not multiplied with anything",
        "gate_proj": "GPT-2's MLP is not gated; its reading weight (c_fc) is called up_proj here",
    },
)
