"""Tiny models of the dense decoder families beyond those of tests/synthetic.py: name -> (model_type, config fields).

Some model types are here several times, once for each switch of their config that changes the block.
"""

from __future__ import annotations

from typing import Any

SIZES: dict[str, Any] = {
    "vocab_size": 112,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "pad_token_id": 1,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
HEADS = {**GROUPED, "head_dim": 4}
# Without `intermediate_size`: they have another field for it, or take four times the hidden size.
GPT = {name: value for name, value in SIZES.items() if name != "intermediate_size"}
LOW_RANK = {
    **SIZES,
    "q_lora_rank": 8,
    "kv_lora_rank": 4,
    "qk_nope_head_dim": 4,
    "qk_rope_head_dim": 4,
    "v_head_dim": 4,
}
WINDOWED = {"sliding_window": 3, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
ROPE = {"rope_theta": 77.0, "rope_type": "default"}
ROPES = {"full_attention": ROPE, "sliding_attention": ROPE}

TOWER = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
DEPTH = {"depth": 2, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "patch_size": 4, "intermediate_size": 32}
STACKED = {**DEPTH, "out_hidden_size": 16, "num_position_embeddings": 16, "deepstack_visual_indexes": [1]}
AXES = {"rope_parameters": {**ROPE, "mrope_section": [1, 1, 0]}}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 4,
    "linear_value_head_dim": 4,
    "linear_conv_kernel_dim": 3,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
}
CONVOLUTIONS = {"layer_types": ["conv", "full_attention", "conv"]}
MAMBA = {
    "mamba_n_heads": 4,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_d_state": 8,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_chunk_size": 8,
}
FIRST_MAMBA = {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 4, "mamba_dt_rank": 4}
MAMBA_TYPES = {"layer_types": ["mamba", "attention", "mamba"]}
IMAGE_TOKENS = {"image_token_id": 9, "video_token_id": 10, "vision_start_token_id": 11, "vision_end_token_id": 12}


def seeing(language_model: str, tower: dict[str, Any]) -> dict[str, Any]:
    """A config whose text part is of this model type, with a small vision tower."""
    text = {**HEADS, "model_type": language_model, "sliding_window": 32}
    return {"text_config": text, "vision_config": {**TOWER, **tower}, "image_token_index": 9, "image_seq_length": 4}


DENSE: dict[str, tuple[str, dict[str, Any]]] = {
    # Llama's block.
    "ministral": ("ministral", {**HEADS, **WINDOWED}),
    "ministral3": ("ministral3", HEADS),
    "smollm3": ("smollm3", {**GROUPED, "no_rope_layers": [1, 0, 1]}),
    "seed_oss": ("seed_oss", HEADS),
    "helium": ("helium", HEADS),
    "hunyuan_v1_dense": ("hunyuan_v1_dense", HEADS),
    "ernie4_5": ("ernie4_5", HEADS),
    "ernie4_5_biased": ("ernie4_5", {**HEADS, "use_bias": True}),
    "exaone": ("exaone", HEADS),
    "internlm3": ("internlm3", HEADS),
    "iquestcoder": ("iquestcoder", HEADS),
    "cwm": ("cwm", {**HEADS, **WINDOWED}),
    "youtu": ("youtu", LOW_RANK),
    # The same with scales, other norms, or norms after the MLP.
    "granite": ("granite", {**GROUPED, "residual_multiplier": 0.5, "logits_scaling": 4.0, "embedding_multiplier": 3.0}),
    "granite_swa": ("granite_swa", {**GROUPED, "residual_multiplier": 0.5, "logits_scaling": 4.0}),
    "minicpm3": ("minicpm3", LOW_RANK),
    "hyperclovax": ("hyperclovax", {**GROUPED, "residual_multiplier": 0.5, "logits_scaling": 4.0}),
    "hyperclovax_post_norm": ("hyperclovax", {**GROUPED, "residual_multiplier": 0.5, "use_post_norm": True}),
    "olmo": ("olmo", GROUPED),
    "olmo_clipped": ("olmo", {**GROUPED, "clip_qkv": 0.1}),
    "olmo2": ("olmo2", GROUPED),
    "olmo3": ("olmo3", {**GROUPED, **WINDOWED}),
    "exaone4": ("exaone4", {**GROUPED, **WINDOWED}),
    "stablelm": ("stablelm", GROUPED),
    "stablelm_parallel": ("stablelm", {**GROUPED, "use_parallel_residual": True, "qk_layernorm": True}),
    "cohere": ("cohere", GROUPED),
    "cohere_qk_norm": ("cohere", {**GROUPED, "use_qk_norm": True, "logit_scale": 2.0}),
    "cohere2": ("cohere2", {**GROUPED, **WINDOWED}),
    "cohere_compass_text": ("cohere_compass_text", {**GROUPED, **WINDOWED, "rope_parameters": ROPES}),
    "gemma": ("gemma", HEADS),
    "vaultgemma": ("vaultgemma", {**HEADS, "query_pre_attn_scalar": 4, **WINDOWED}),
    "glm": ("glm", HEADS),
    "glm4": ("glm4", HEADS),
    # Without a gate.
    "phi": ("phi", GROUPED),
    "phi_qk_norm": ("phi", {**SIZES, "qk_layernorm": True}),
    "arcee": ("arcee", GROUPED),
    "nemotron": ("nemotron", GROUPED),
    "jais2": ("jais2", GROUPED),
    "apertus": ("apertus", GROUPED),
    "apertus1p5_text": ("apertus1p5_text", GROUPED),
    "gpt-sw3": ("gpt-sw3", {**GPT, "n_inner": 24}),
    "gpt_bigcode": ("gpt_bigcode", GPT),
    "gpt_bigcode_heads": ("gpt_bigcode", {**GPT, "multi_query": False, "n_inner": 24}),
    "gpt_neo": ("gpt_neo", {**SIZES, "attention_types": [[["global", "local", "global"], 1]], "window_size": 3}),
    "starcoder2": ("starcoder2", GROUPED),
    "starcoder2_unbiased": ("starcoder2", {**GROUPED, "use_bias": False, "sliding_window": 3}),
    "gptj": ("gptj", {**GPT, "rotary_dim": 4, "n_inner": 24}),
    "codegen": ("codegen", {**GPT, "rotary_dim": 4}),
    "gpt_neox_japanese": ("gpt_neox_japanese", {**GPT, "intermediate_multiple_size": 2}),
    "persimmon": ("persimmon", SIZES),
    "falcon": ("falcon", GPT),
    "falcon_in_turn": ("falcon", {**GPT, "parallel_attn": False, "bias": True, "multi_query": False}),
    "falcon_new": ("falcon", {**GPT, "new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon_one_norm": (
        "falcon",
        {**GPT, "new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1},
    ),
    "falcon_alibi": ("falcon", {**GPT, "alibi": True, "parallel_attn": False}),
    "bloom": ("bloom", GPT),
    "mpt": ("mpt", GPT),
    "mpt_clipped": ("mpt", {**GPT, "attn_config": {"clip_qkv": 0.1}}),
    "opt": ("opt", {**SIZES, "word_embed_proj_dim": 16, "ffn_dim": 32}),
    "opt_unbiased": ("opt", {**SIZES, "word_embed_proj_dim": 16, "ffn_dim": 32, "enable_bias": False}),
    "xglm": ("xglm", {**SIZES, "ffn_dim": 32}),
    "biogpt": ("biogpt", SIZES),
    "nanochat": ("nanochat", GROUPED),
    "ctrl": ("ctrl", {**GPT, "dff": 32}),
    # Recurrent layers in place of attention in some blocks, or beside it.
    "qwen3_next": ("qwen3_next", {**HEADS, **LINEAR, "num_experts": 0}),
    "qwen3_5_text": ("qwen3_5_text", {**HEADS, **LINEAR}),
    "lfm2": ("lfm2", {**GROUPED, **CONVOLUTIONS, "block_auto_adjust_ff_dim": False}),
    "lfm3": ("lfm3", {**GROUPED, **CONVOLUTIONS}),
    "lfm3_post_norm": ("lfm3", {**GROUPED, **CONVOLUTIONS, "use_sandwich_norm": True}),
    "jamba": ("jamba", {**GROUPED, **FIRST_MAMBA, "num_experts": 1}),
    "bamba": ("bamba", {**GROUPED, **MAMBA, "attn_layer_indices": [1]}),
    "falcon_h1": (
        "falcon_h1",
        {**GROUPED, **MAMBA, "mamba_d_ssm": 32, "mlp_multipliers": [1.0, 1.0], "lm_head_multiplier": 0.5},
    ),
    "olmo_hybrid": ("olmo_hybrid", {**HEADS, **LINEAR}),
    "granitemoehybrid": (
        "granitemoehybrid",
        {
            **{**GROUPED, **MAMBA, **MAMBA_TYPES, "num_local_experts": 0, "shared_intermediate_size": 32},
            **{"residual_multiplier": 0.5, "logits_scaling": 4.0},
        },
    ),
    # Language models inside of checkpoints that also see images.
    "qwen3_5_seeing": (
        "qwen3_5",
        {
            "text_config": {**HEADS, **LINEAR, **AXES, "model_type": "qwen3_5_text"},
            "vision_config": {**STACKED, "num_heads": 2},
            **IMAGE_TOKENS,
        },
    ),
    "gemma3_seeing": (
        "gemma3",
        {
            "text_config": {**HEADS, "model_type": "gemma3_text", "query_pre_attn_scalar": 4, "sliding_window": 32},
            "vision_config": {**TOWER, "model_type": "siglip_vision_model"},
            "mm_tokens_per_image": 4,
            "image_token_index": 9,
            "boi_token_index": 10,
            "eoi_token_index": 11,
        },
    ),
    "mistral3": ("mistral3", seeing("ministral3", {"model_type": "pixtral", "head_dim": 8})),
    "qwen2_vl": ("qwen2_vl", {"text_config": {**GROUPED, **AXES}, "vision_config": DEPTH, **IMAGE_TOKENS}),
    "qwen2_5_vl": ("qwen2_5_vl", {"text_config": {**GROUPED, **AXES}, "vision_config": DEPTH, **IMAGE_TOKENS}),
    "qwen3_vl": ("qwen3_vl", {"text_config": {**HEADS, **AXES}, "vision_config": STACKED, **IMAGE_TOKENS}),
    "llava": ("llava", seeing("llama", {"model_type": "clip_vision_model"})),
    "llava_next": ("llava_next", seeing("granite", {"model_type": "clip_vision_model"})),
    "internvl": ("internvl", seeing("qwen2", {"image_size": [28, 28], "patch_size": [14, 14]})),
    "aya_vision": ("aya_vision", seeing("cohere2", {"model_type": "siglip_vision_model"})),
    "idefics3": ("idefics3", {**seeing("llama", {}), "pad_token_id": 1}),
    "smolvlm": ("smolvlm", {**seeing("llama", {}), "pad_token_id": 1}),
}
