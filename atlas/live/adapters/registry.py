"""Which adapter a model type takes. A new family is one file beside this one and one line in FAMILIES."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from atlas.errors import ModelError
from atlas.live.adapters.base import Adapter
from atlas.live.adapters.multimodal import INSIDE, MULTIMODAL, moved
from atlas.live.adapters.unsupported import UNSUPPORTED

# `model_type` of a checkpoint's config -> module that declares ADAPTER, imported on use.
FAMILIES: dict[str, str] = {
    "llama": "atlas.live.adapters.llama",
    "mistral": "atlas.live.adapters.llama",
    "ministral": "atlas.live.adapters.llama",
    "ministral3": "atlas.live.adapters.llama",
    "qwen2": "atlas.live.adapters.llama",
    "qwen3": "atlas.live.adapters.llama",
    "smollm3": "atlas.live.adapters.llama",
    "seed_oss": "atlas.live.adapters.llama",
    "helium": "atlas.live.adapters.llama",
    "hunyuan_v1_dense": "atlas.live.adapters.llama",
    "ernie4_5": "atlas.live.adapters.llama",
    "exaone": "atlas.live.adapters.llama",
    "internlm3": "atlas.live.adapters.llama",
    "iquestcoder": "atlas.live.adapters.llama",
    "cwm": "atlas.live.adapters.llama",
    "youtu": "atlas.live.adapters.llama",
    "granite": "atlas.live.adapters.granite",
    "granite_swa": "atlas.live.adapters.granite",
    "hyperclovax": "atlas.live.adapters.hyperclovax",
    "minicpm3": "atlas.live.adapters.minicpm3",
    "olmo": "atlas.live.adapters.olmo",
    "olmo2": "atlas.live.adapters.olmo2",
    "olmo3": "atlas.live.adapters.olmo2",
    "exaone4": "atlas.live.adapters.olmo2",
    "stablelm": "atlas.live.adapters.stablelm",
    "cohere": "atlas.live.adapters.cohere",
    "cohere2": "atlas.live.adapters.cohere",
    "cohere_compass_text": "atlas.live.adapters.cohere",
    "gemma": "atlas.live.adapters.gemma1",
    "gemma2": "atlas.live.adapters.gemma",
    "gemma3_text": "atlas.live.adapters.gemma",
    "vaultgemma": "atlas.live.adapters.vaultgemma",
    "phi3": "atlas.live.adapters.phi3",
    "mixtral": "atlas.live.adapters.mixtral",
    "olmoe": "atlas.live.adapters.mixtral",
    "qwen3_moe": "atlas.live.adapters.mixtral",
    "bert": "atlas.live.adapters.bert",
    "roberta": "atlas.live.adapters.roberta",
    "xlm-roberta": "atlas.live.adapters.roberta",
    "camembert": "atlas.live.adapters.roberta",
    "electra": "atlas.live.adapters.electra",
    "deberta-v2": "atlas.live.adapters.deberta",
    "distilbert": "atlas.live.adapters.distilbert",
    "modernbert": "atlas.live.adapters.modernbert",
    "glm": "atlas.live.adapters.phi3",
    "glm4": "atlas.live.adapters.glm4",
    "phi": "atlas.live.adapters.phi",
    "arcee": "atlas.live.adapters.arcee",
    "nemotron": "atlas.live.adapters.nemotron",
    "jais2": "atlas.live.adapters.jais2",
    "apertus": "atlas.live.adapters.apertus",
    "apertus1p5_text": "atlas.live.adapters.apertus",
    "gpt2": "atlas.live.adapters.gpt2",
    "gpt-sw3": "atlas.live.adapters.gpt2",
    "gpt_bigcode": "atlas.live.adapters.gpt_bigcode",
    "gpt_neo": "atlas.live.adapters.gpt_bigcode",
    "starcoder2": "atlas.live.adapters.starcoder2",
    "gptj": "atlas.live.adapters.gptj",
    "codegen": "atlas.live.adapters.gptj",
    "gpt_neox": "atlas.live.adapters.gpt_neox",
    "gpt_neox_japanese": "atlas.live.adapters.gpt_neox_japanese",
    "persimmon": "atlas.live.adapters.persimmon",
    "falcon": "atlas.live.adapters.falcon",
    "bloom": "atlas.live.adapters.bloom",
    "mpt": "atlas.live.adapters.mpt",
    "opt": "atlas.live.adapters.opt",
    "xglm": "atlas.live.adapters.xglm",
    "biogpt": "atlas.live.adapters.biogpt",
    "nanochat": "atlas.live.adapters.nanochat",
    "ctrl": "atlas.live.adapters.ctrl",
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
    "llama4_text": "atlas.live.adapters.llama4",
    "flex_olmo": "atlas.live.adapters.flex_olmo",
    "mellum": "atlas.live.adapters.mixtral",
    "minimax_m2": "atlas.live.adapters.mixtral",
    "gpt_oss": "atlas.live.adapters.gpt_oss",
    "phimoe": "atlas.live.adapters.phimoe",
    "granitemoe": "atlas.live.adapters.granitemoe",
    "granitemoeshared": "atlas.live.adapters.granitemoe",
    "qwen3_next": "atlas.live.adapters.qwen3_next",
    "qwen3_5_text": "atlas.live.adapters.qwen3_5",
    "qwen3_5_moe_text": "atlas.live.adapters.qwen3_next",
    "lfm2": "atlas.live.adapters.lfm2",
    "lfm3": "atlas.live.adapters.lfm3",
    "lfm2_moe": "atlas.live.adapters.lfm2_moe",
    "jamba": "atlas.live.adapters.jamba",
    "bamba": "atlas.live.adapters.bamba",
    "olmo_hybrid": "atlas.live.adapters.olmo_hybrid",
    "falcon_h1": "atlas.live.adapters.falcon_h1",
    "granitemoehybrid": "atlas.live.adapters.granitemoehybrid",
}

# Those whose checkpoints have a tower of texts and one of images -> module that declares TOWERS.
TOWERS: dict[str, str] = {"clip": "atlas.live.adapters.clip"}

# Config fields that give away what no adapter here can describe.
_EXPERT_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_OTHER_MODALITIES = ("vision_config", "audio_config", "text_config")


def find_adapter(config: Mapping[str, Any]) -> Adapter:
    """The adapter for a checkpoint's raw config (the content of config.json).

    Raises ModelError with the reason for mixtures of experts and multimodal checkpoints that no adapter describes, and
    model types that are unknown or that none can describe: each of them would otherwise give tensors of the right shape
    and the wrong meaning.
    """
    model_type = config.get("model_type")
    supported = _supported(str(model_type))
    if not model_type:
        raise ModelError("the model's config names no model_type", supported)
    inside = MULTIMODAL.get(model_type) if isinstance(model_type, str) else None
    text = config.get("text_config") if inside else None
    text = text if isinstance(text, dict) else {}
    own_type = model_type if inside is None else text.get("model_type") or inside.model_type
    if config.get("is_encoder_decoder"):  # of a type whose decoder alone is a language model too, as BART's
        raise ModelError(
            f"model type {str(model_type)[:60]!r} is an encoder-decoder: a layer's number is of two blocks, one a side",
            "Use an encoder or a language model. " + supported,
        )
    if model_type in TOWERS:
        raise ModelError(
            f"model type {model_type!r} has two towers, of texts and of images, and an atlas is of one",
            "`build` takes --tower text or --tower image; what runs, edits or explains a model does not read towers.",
        )
    if isinstance(model_type, str) and model_type in UNSUPPORTED:
        raise ModelError(f"model type {model_type!r} has no adapter: {UNSUPPORTED[model_type]}", supported)
    with_experts = any((part.get(key) or 0) > 1 for part in (config, text) for key in _EXPERT_COUNTS)
    if with_experts and not _has_experts(own_type):
        raise ModelError(
            f"model type {model_type!r} is a mixture of experts that no adapter describes",
            supported,
        )
    if inside is None and any(config.get(key) for key in _OTHER_MODALITIES):
        raise ModelError(
            f"model type {model_type!r} is a multimodal model, and where its language model is is not known here",
            "Use the text-only checkpoint of the family, if there is one. " + supported,
        )
    known = FAMILIES if inside is None else FAMILIES | INSIDE
    if own_type not in known:
        own_code = " and brings its own code, which is never run" if config.get("auto_map") else ""
        raise ModelError(
            f"model type {str(own_type)[:60]!r} has no adapter{own_code}",
            f"{supported} docs/adding-a-family.md shows how to add another.",
        )
    adapter = _adapter(known[own_type])
    return adapter if inside is None else moved(adapter, inside.path)


def find_tower(config: Mapping[str, Any], tower: str) -> Adapter:
    """The adapter of the tower `tower` ("text" or "image") of a checkpoint, by its raw config.

    Raises ModelError for model types without towers that an adapter describes.
    """
    model_type = config.get("model_type")
    with_towers = f"With towers there is: {', '.join(TOWERS)}."
    if isinstance(model_type, str) and model_type in UNSUPPORTED:
        raise ModelError(f"model type {model_type!r} has no adapter: {UNSUPPORTED[model_type]}", with_towers)
    if model_type not in TOWERS:
        raise ModelError(
            f"model type {str(model_type)[:60]!r} has no towers of texts and images that an adapter describes",
            f"{with_towers} Leave --tower out for a language model or an encoder.",
        )
    adapters: dict[str, Adapter] = importlib.import_module(TOWERS[str(model_type)]).TOWERS
    return adapters[tower]


def _supported(model_type: str) -> str:
    """One line about the model types that there are: some, those called alike first, and where all of them stand."""
    alike = difflib.get_close_matches(model_type, FAMILIES, n=3, cutoff=0.6)
    some = list(dict.fromkeys([*alike, *FAMILIES]))[:4]
    return f"Supported: {', '.join(some)} and {len(FAMILIES) - len(some)} more model types, see docs/families.md."


def tokenizer_classes() -> frozenset[str]:
    """The classes of every family: a checkpoint may well have the tokenizer of another one."""
    towers = [each for module in TOWERS.values() for each in importlib.import_module(module).TOWERS.values()]
    adapters = [*map(_adapter, FAMILIES.values()), *towers]
    return frozenset(name for adapter in adapters for name in adapter.tokenizers)


def _has_experts(model_type: Any) -> bool:
    return model_type in FAMILIES and _adapter(FAMILIES[model_type]).experts is not None


def _adapter(module: str) -> Adapter:
    adapter: Adapter = importlib.import_module(module).ADAPTER
    return adapter
