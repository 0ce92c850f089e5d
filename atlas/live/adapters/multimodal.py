"""Language models inside of checkpoints that also see images: the adapter of the text's family, at another place.

The checkpoint's own class is loaded, rather than its language model cut out of it: several of these language models
have no class of their own with an LM head, the fingerprint is that of the checkpoint, and what is saved is one again.
Inputs are text only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from atlas.live.adapters.base import Adapter, Tap, WeightPlace


class LanguageModel(NamedTuple):
    """Where the language model is in a checkpoint's class, and its model type where the config does not say it."""

    path: str
    model_type: str


MULTIMODAL: dict[str, LanguageModel] = {
    "gemma3": LanguageModel("model.language_model", "gemma3_text"),
    "mistral3": LanguageModel("model.language_model", "mistral"),
    "qwen2_vl": LanguageModel("model.language_model", "qwen2_vl_text"),
    "qwen2_5_vl": LanguageModel("model.language_model", "qwen2_5_vl_text"),
    "qwen3_vl": LanguageModel("model.language_model", "qwen3_vl_text"),
    "qwen3_5": LanguageModel("model.language_model", "qwen3_5_text"),
    "llava": LanguageModel("model.language_model", "llama"),
    "llava_next": LanguageModel("model.language_model", "llama"),
    "internvl": LanguageModel("model.language_model", "qwen2"),
    "aya_vision": LanguageModel("model.language_model", "cohere2"),
    "idefics3": LanguageModel("model.text_model", "llama"),
    "smolvlm": LanguageModel("model.text_model", "llama"),
}

# Model types of language models that are only published inside of such checkpoints -> module of their adapter.
INSIDE: dict[str, str] = {
    "qwen2_vl_text": "atlas.live.adapters.llama",
    "qwen2_5_vl_text": "atlas.live.adapters.llama",
    "qwen3_vl_text": "atlas.live.adapters.llama",
}


def moved(adapter: Adapter, path: str) -> Adapter:
    """The adapter with every path within the module `path` in place of the base model of its own family.

    The heads of these classes are plain: what the family's own head does to its logits they leave out.
    """

    def there(place: str) -> str:
        return f"{path}.{place.partition('.')[2]}"

    def maybe(place: str | None) -> str | None:
        return None if place is None else there(place)

    def all_of(taps: Mapping[str, Tap], weights: Mapping[str, WeightPlace]) -> dict[str, Any]:
        return {
            "sites": {name: replace(tap, module=there(tap.module)) for name, tap in taps.items()},
            "weights": {
                name: replace(place, parameter=there(place.parameter), bias=maybe(place.bias))
                for name, place in weights.items()
            },
        }

    norm, experts = adapter.final_norm, adapter.experts
    if experts is not None:
        experts = replace(
            experts,
            module=there(experts.module),
            router=there(experts.router),
            shared=maybe(experts.shared),
            shared_gate=maybe(experts.shared_gate),
            **all_of(experts.sites, experts.weights),
        )
    return replace(
        adapter,
        base=None if adapter.base is None else path,
        experts=experts,
        block=there(adapter.block),
        mlp=there(adapter.mlp),
        mlp_end=maybe(adapter.mlp_end),
        mlp_out_norm=maybe(adapter.mlp_out_norm),
        activation_module=maybe(adapter.activation_module),
        final_norm=None if norm is None else replace(norm, module=there(norm.module)),
        **all_of(adapter.sites, adapter.weights),
        gguf_names={},
        logit_scale_field=None,
        logit_divisor_field=None,
        logit_softcap_field=None,
    )
