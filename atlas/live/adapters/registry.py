"""Which adapter a model type takes. A new family is one file beside this one and one line in FAMILIES."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from atlas.errors import ModelError
from atlas.live.adapters.base import Adapter

# `model_type` of a checkpoint's config -> module that declares ADAPTER, imported on use.
FAMILIES: dict[str, str] = {
    "llama": "atlas.live.adapters.llama",
    "mistral": "atlas.live.adapters.llama",
    "qwen2": "atlas.live.adapters.llama",
    "qwen3": "atlas.live.adapters.llama",
    "gpt2": "atlas.live.adapters.gpt2",
    "gpt_neox": "atlas.live.adapters.gpt_neox",
    "gemma2": "atlas.live.adapters.gemma",
    "gemma3_text": "atlas.live.adapters.gemma",
    "phi3": "atlas.live.adapters.phi3",
    "mixtral": "atlas.live.adapters.mixtral",
    "olmoe": "atlas.live.adapters.mixtral",
    "qwen3_moe": "atlas.live.adapters.mixtral",
    "qwen2_moe": "atlas.live.adapters.qwen2_moe",
    "deepseek_v2": "atlas.live.adapters.deepseek",
    "deepseek_v3": "atlas.live.adapters.deepseek",
    "glm4_moe": "atlas.live.adapters.deepseek",
    "deepseek_v32": "atlas.live.adapters.deepseek",
    "dots1": "atlas.live.adapters.deepseek",
    "ernie4_5_moe": "atlas.live.adapters.deepseek",
    "exaone_moe": "atlas.live.adapters.deepseek",
    "glm4_moe_lite": "atlas.live.adapters.deepseek",
    "solar_open": "atlas.live.adapters.deepseek",
    "flex_olmo": "atlas.live.adapters.flex_olmo",
    "mellum": "atlas.live.adapters.mixtral",
    "minimax_m2": "atlas.live.adapters.mixtral",
    "gpt_oss": "atlas.live.adapters.gpt_oss",
    "phimoe": "atlas.live.adapters.phimoe",
    "granitemoe": "atlas.live.adapters.granitemoe",
    "granitemoeshared": "atlas.live.adapters.granitemoe",
}

# Config fields that give away what no adapter here can describe.
_EXPERT_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_OTHER_MODALITIES = ("vision_config", "audio_config", "text_config")


def find_adapter(config: Mapping[str, Any]) -> Adapter:
    """The adapter for a checkpoint's raw config (the content of config.json).

    Raises ModelError with the reason for mixtures of experts, multimodal and quantised checkpoints and
    unknown model types: each of them would otherwise give tensors of the right shape and the wrong meaning.
    """
    model_type = config.get("model_type")
    supported = "Supported model types: " + ", ".join(FAMILIES) + "."
    if not model_type:
        raise ModelError("the model's config names no model_type", supported)
    if any((config.get(key) or 0) > 1 for key in _EXPERT_COUNTS) and not _has_experts(model_type):
        raise ModelError(
            f"model type {model_type!r} is a mixture of experts that no adapter describes",
            supported,
        )
    if any(config.get(key) for key in _OTHER_MODALITIES):
        raise ModelError(
            f"model type {model_type!r} is a multimodal model; only text-only language models are supported",
            "Use the text-only checkpoint of the family, if there is one. " + supported,
        )
    if model_type not in FAMILIES:
        own_code = " and brings its own code, which is never run" if config.get("auto_map") else ""
        raise ModelError(
            f"model type {str(model_type)[:60]!r} has no adapter{own_code}",
            f"{supported} docs/adding-a-family.md shows how to add another.",
        )
    if quantised := config.get("quantization_config"):
        method = quantised.get("quant_method", "unknown")
        raise ModelError(
            f"the checkpoint's weights are quantised ({method}), so they are not plain matrices",
            "Use the unquantised checkpoint, or a GGUF file, which is dequantised on loading.",
        )
    return _adapter(FAMILIES[model_type])


def tokenizer_classes() -> frozenset[str]:
    """The classes of every family: a checkpoint may well have the tokenizer of another one."""
    return frozenset(name for module in FAMILIES.values() for name in _adapter(module).tokenizers)


def _has_experts(model_type: Any) -> bool:
    return model_type in FAMILIES and _adapter(FAMILIES[model_type]).experts is not None


def _adapter(module: str) -> Adapter:
    adapter: Adapter = importlib.import_module(module).ADAPTER
    return adapter
