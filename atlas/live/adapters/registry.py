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
}

# Config fields that give away what no adapter here can describe.
_EXPERT_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_OTHER_MODALITIES = ("vision_config", "audio_config", "text_config")


def find_adapter(config: Mapping[str, Any]) -> Adapter:
    """The adapter for a checkpoint's raw config (the content of config.json).

    Raises ModelError with the reason for mixtures of experts, multimodal checkpoints and unknown
    model types: each of them would otherwise give tensors of the right shape and the wrong meaning.
    """
    model_type = config.get("model_type")
    supported = "Supported model types: " + ", ".join(FAMILIES) + "."
    if not model_type:
        raise ModelError("the model's config names no model_type", supported)
    if any((config.get(key) or 0) > 1 for key in _EXPERT_COUNTS):
        raise ModelError(
            f"model type {model_type!r} is a mixture of experts, where one layer has many MLPs",
            "Use a dense model. " + supported,
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
    return _adapter(FAMILIES[model_type])


def tokenizer_classes() -> frozenset[str]:
    """The classes of every family: a checkpoint may well have the tokenizer of another one."""
    return frozenset(name for module in FAMILIES.values() for name in _adapter(module).tokenizers)


def _adapter(module: str) -> Adapter:
    adapter: Adapter = importlib.import_module(module).ADAPTER
    return adapter
