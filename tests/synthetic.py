"""Tiny models of every supported family: real architectures, random weights, a word tokenizer, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedTokenizerFast,
)

from atlas.live.quiet import quiet
from tests.dense_families import CONVOLUTIONS, DENSE, FIRST_MAMBA, LINEAR, MAMBA, MAMBA_TYPES

SPECIAL = ["<unk>", "<pad>", "<s>", "</s>"]
PUNCTUATION = [".", ",", "?", "!", ":"]
# Each word exists with a leading space; those of BARE also without one, as at the start of a text.
WORDS = """dog dogs Dog cat cats science Science scientist money bank Paris France football match team goal
election government minister vote happy sad angry fear joy the The a is are was and of in to about this text
my favourite animal runs won lost played wrote reads new old good bad very not""".split()
BARE = "dog dogs Dog cat science The A This My a text new".split()

D_VOCAB = 112  # more rows in the LM head than tokens, as in many real models

_SIZES: dict[str, Any] = {
    "vocab_size": D_VOCAB,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "pad_token_id": 1,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2, "head_dim": 4}
_GEMMA = {**_GROUPED, "query_pre_attn_scalar": 4, "sliding_window": 32}

# family -> (model_type, config fields)
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", _GROUPED),
    "mistral": ("mistral", {**_GROUPED, "sliding_window": None}),
    "qwen2": ("qwen2", {**_SIZES, "num_key_value_heads": 2}),
    "qwen3": ("qwen3", _GROUPED),
    "gpt2": ("gpt2", {**_SIZES, "n_inner": None}),  # None means four times the hidden size
    "gpt_neox": ("gpt_neox", {**_SIZES, "use_parallel_residual": True}),
    "gemma2": ("gemma2", _GEMMA),
    "gemma3": ("gemma3_text", _GEMMA),
    "phi3": ("phi3", {**_SIZES, "num_key_value_heads": 2, "original_max_position_embeddings": 64}),
}

_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_NARROW = {**_EXPERTS, "moe_intermediate_size": 10}  # 40 neurons a layer, where a dense layer has 32
_BESIDE = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 10,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "topk_group": 1,
}
_LATENT = {
    **_SIZES,
    **_BESIDE,
    **{"num_key_value_heads": 4, "q_lora_rank": 8, "kv_lora_rank": 8},
    **{"qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4},
}

_LLAMA4 = {
    **_GROUPED,
    **{"num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 10, "intermediate_size_mlp": 32},
    **{"moe_layers": [1, 2], "attention_chunk_size": 32},
}

# Mixtures of experts, likewise.
MIXTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "mixtral": ("mixtral", {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "olmoe": ("olmoe", {**_GROUPED, **_EXPERTS}),
    "qwen3_moe": ("qwen3_moe", {**_GROUPED, **_NARROW, "mlp_only_layers": [0]}),
    "qwen2_moe": (
        "qwen2_moe",
        {**_SIZES, "num_key_value_heads": 2, **_NARROW, "shared_expert_intermediate_size": 12, "mlp_only_layers": [0]},
    ),
    "gpt_oss": (
        "gpt_oss",
        {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 32, "intermediate_size": 12},
    ),
    "deepseek_v2": ("deepseek_v2", {**_LATENT, "topk_method": "greedy", "n_group": 1, "n_shared_experts": 2}),
    "deepseek_v3": ("deepseek_v3", {**_LATENT, "n_group": 2}),
    "glm4_moe": ("glm4_moe", {**_GROUPED, **_BESIDE, "n_group": 1}),
    "granitemoe": (
        "granitemoe",
        {
            **_GROUPED,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "residual_multiplier": 0.5,
            "logits_scaling": 4.0,
        },
    ),
    "granitemoeshared": (
        "granitemoeshared",
        {
            **_GROUPED,
            **{"num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 12},
            "residual_multiplier": 0.5,
        },
    ),
    "phimoe": ("phimoe", {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}),
}

# Those whose files are read by an adapter of the ones above.
FURTHER_MIXTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "deepseek_v32": ("deepseek_v32", {**_LATENT, "n_group": 2}),
    "dots1": ("dots1", {**_GROUPED, **_BESIDE, "n_group": 1}),
    "ernie4_5_moe": (
        "ernie4_5_moe",
        {
            **_GROUPED,
            **{"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 10},
            **{"moe_num_shared_experts": 1, "moe_layer_start_index": 1},
        },
    ),
    "exaone_moe": (
        "exaone_moe",
        {**_GROUPED, **_BESIDE, "num_experts": 4, "num_shared_experts": 1, "n_group": 1, "sliding_window": 32},
    ),
    "flex_olmo": ("flex_olmo", {**_GROUPED, **_EXPERTS}),
    "glm4_moe_lite": ("glm4_moe_lite", {**_LATENT, "n_group": 1}),
    "llama4_text": ("llama4_text", _LLAMA4),
    "mellum": ("mellum", {**_GROUPED, **_NARROW}),
    "minimax_m2": ("minimax_m2", {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "solar_open": ("solar_open", {**_GROUPED, **_BESIDE, "n_group": 1}),
    # Recurrent layers in place of attention in some blocks.
    "qwen3_next_moe": (
        "qwen3_next",
        {**_GROUPED, **_NARROW, **LINEAR, "shared_expert_intermediate_size": 12, "mlp_only_layers": [1]},
    ),
    "qwen3_5_moe_text": ("qwen3_5_moe_text", {**_GROUPED, **_NARROW, **LINEAR, "shared_expert_intermediate_size": 12}),
    "lfm2_moe": ("lfm2_moe", {**_GROUPED, **_NARROW, **CONVOLUTIONS, "num_dense_layers": 1}),
    "jamba_moe": (
        "jamba",
        {**_GROUPED, **_EXPERTS, **FIRST_MAMBA, "expert_layer_period": 2, "expert_layer_offset": 1},
    ),
    "granitemoehybrid_moe": (
        "granitemoehybrid",
        {
            **{**_GROUPED, **MAMBA, **MAMBA_TYPES, "num_local_experts": 4, "num_experts_per_tok": 2},
            **{"shared_intermediate_size": 20, "residual_multiplier": 0.5},
        },
    ),
}


def make_model(
    family: str,
    folder: str | Path,
    *,
    seed: int = 0,
    add_bos: bool = False,
    dtype: torch.dtype = torch.float32,
    **config_overrides: Any,
) -> Path:
    """Write a random model of `family` and its tokenizer into `folder` (safetensors) and return the folder.

    `family`: one of FAMILIES, or of tests/dense_families.py. Three layers, d_model 16, d_mlp 32 (64 for GPT-2), 112
    vocabulary rows of which the tokenizer knows fewer.
    """
    model_type, fields = (FAMILIES | MIXTURES | FURTHER_MIXTURES | DENSE)[family]
    names = CONFIG_MAPPING[model_type].attribute_map  # GPT-2 calls hidden_size n_embd, and so on
    config = CONFIG_MAPPING[model_type](
        **{names.get(name, name): value for name, value in {**fields, **config_overrides}.items()}
    )
    sees = hasattr(config, "vision_config")
    model = (AutoModelForImageTextToText if sees else AutoModelForCausalLM).from_config(config)
    randomise(model, seed)
    folder = Path(folder)
    with quiet():
        model.to(dtype).save_pretrained(folder)
        make_tokenizer(add_bos=add_bos).save_pretrained(folder)
    return folder


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Draw every parameter anew, large enough that no branch of the model is negligible."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            centre = parameter.mean() if parameter.ndim == 1 else 0.0  # keeps the gains of norms around 1
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(centre + 0.3 * noise)


def make_tokenizer(*, add_bos: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words in SentencePiece's manner: '▁dog' after a space, 'dog' at the start."""
    pieces = [*SPECIAL, *PUNCTUATION, *BARE, *("▁" + word for word in dict.fromkeys(WORDS))]
    vocabulary = {piece: token_id for token_id, piece in enumerate(pieces)}
    assert len(vocabulary) == len(pieces) < D_VOCAB
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="never"), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    if add_bos:
        tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
