"""Llama and the many models built like it, which differ in their attention or in nothing but their training.

A gated MLP, down_proj(act(gate_proj(x)) * up_proj(x)), in a pre-norm block with RMSNorm.
"""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm, Tap, WeightPlace

MLP = "model.layers.{layer}.mlp"

ADAPTER = Adapter(
    family="llama",
    gated=True,
    block="model.layers.{layer}",
    mlp=MLP,
    activation_field="hidden_act",
    final_norm=FinalNorm("model.norm", "rms"),
    sites={
        "mlp_pre": Tap(f"{MLP}.gate_proj", "output"),
        "mlp_pre_linear": Tap(f"{MLP}.up_proj", "output"),
        # Not the activation function's output: that lacks the factor of the up branch.
        "mlp_post": Tap(f"{MLP}.down_proj", "input"),
        "resid_post": Tap("model.layers.{layer}", "output"),
    },
    weights={
        "up_proj": WeightPlace(f"{MLP}.up_proj.weight", bias=f"{MLP}.up_proj.bias"),
        "gate_proj": WeightPlace(f"{MLP}.gate_proj.weight", bias=f"{MLP}.gate_proj.bias"),
        "down_proj": WeightPlace(f"{MLP}.down_proj.weight", neurons_last=True, bias=f"{MLP}.down_proj.bias"),
    },
    gguf_names={
        "llama": "llama",
        "mistral": "llama",
        "qwen2": "qwen2",
        "qwen3": "qwen3",
        "smollm3": "smollm3",
        "seed_oss": "seed_oss",
        "hunyuan_v1_dense": "hunyuan-dense",
        "ernie4_5": "ernie4_5",
        "ministral3": "mistral3",
    },
    tokenizers=("LlamaTokenizer", "CodeLlamaTokenizer", "Qwen2Tokenizer"),
    mlp_bias_field="mlp_bias",
    recomputed=("rotary_emb.inv_freq",),
)
