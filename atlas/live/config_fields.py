"""A checkpoint's config reduced to the fields that its architecture reads, with values that can be meant.

transformers acts on many more: it asks the hub for the attention kernel that a config names, loads the file that
another field names, or runs code. Nothing of that is passed on.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING, PretrainedConfig
from transformers import __version__ as TRANSFORMERS

from atlas.errors import ModelError
from atlas.live.adapters.base import Adapter

# What older configs call things, as transformers' own classes translate them.
_OLDER_NAMES = {
    "head_dim", "original_max_position_embeddings", "partial_rotary_factor", "rope_parameters", "rope_scaling",
    "rope_theta", "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id", "alignment_intermediate_size",
}  # fmt: skip
# Fields of every architecture, of which none says what this one computes. The hub is asked for kernels by name.
_NEVER = {"attn_implementation", "experts_implementation", "num_labels"}
# They would change what is computed, in ways that no adapter describes.
_REFUSED = ("per_layer_config", "fusion_config", "adapters", "pruned_heads")
_INFINITY = {"__float__": "Infinity"}
_MINUS_ONE = ("_token_id", "_token_index")
_DTYPES = ("float32", "float16", "bfloat16", "float64")
_MOST = 2**53
_LONGEST_LIST, _DEEPEST = 10_000, 3


def clean_config(raw: Mapping[str, Any], adapter: Adapter, model_id: str) -> dict[str, Any]:
    """The fields of `raw` (config.json), a model of `adapter`, that the class of its model_type reads.

    `raw` stays as it is.

    Raises ModelError for a value that no such field can have, and for fields that change the computation in ways
    that are not supported.
    """
    for name in _REFUSED:
        if raw.get(name):
            raise ModelError(
                f"the config of {model_id} has {name}, which changes the model in a way that is not supported",
                "Use a plain checkpoint of the model.",
            )
    made = _config_class(raw["model_type"], model_id)
    parts = _parts(made)
    known = _known(made, adapter)
    if "text_config" in parts and not raw.get("text_config"):  # older configs have its fields beside the others
        known |= _known(parts["text_config"], adapter)
    kept = {name: raw[name] for name in known if name in raw}
    for name, default in parts.items():
        part = kept.get(name)
        if isinstance(part, dict):
            its_type = part.get("model_type")
            named = isinstance(its_type, str) and its_type in CONFIG_MAPPING
            its_class = CONFIG_MAPPING[str(its_type)] if named else default
            kept[name] = {key: part[key] for key in {*_known(its_class, adapter), "model_type"} if key in part}
    dtype = raw.get("dtype", raw.get("torch_dtype"))
    if dtype in _DTYPES:
        kept["dtype"] = dtype
    for name in kept.keys() & set(adapter.unbounded_fields):
        kept[name] = _bounds(kept[name], name, model_id)
    for name, value in kept.items():
        if name in adapter.unbounded_fields:
            continue
        if not (name in adapter.negative_fields and type(value) is int and -100 <= value < 0):
            _check(value, name, model_id, 0)
    return kept


def language_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a cleaned config that is of the language model."""
    text = fields.get("text_config")
    return text if isinstance(text, dict) else fields


def _bounds(value: Any, name: str, model_id: str) -> Any:
    """[lowest, highest] with infinity where transformers writes it as an object; ModelError for what is none."""
    if not isinstance(value, list) or not value:
        _check(value, name, model_id, 0)
        return value
    lowest, highest = value[:-1], math.inf if value[-1] == _INFINITY else value[-1]
    _check([*lowest, 0 if highest == math.inf else highest], name, model_id, 0)
    return [*lowest, highest]


def _config_class(model_type: str, model_id: str) -> type[PretrainedConfig]:
    if model_type not in CONFIG_MAPPING:
        raise ModelError(
            f"transformers {TRANSFORMERS} does not know model type {model_type!r} of {model_id}",
            "Run: pip install --upgrade transformers.",
        )
    return CONFIG_MAPPING[model_type]


def _parts(made: type[PretrainedConfig]) -> dict[str, type[PretrainedConfig]]:
    """The configs within a config, by the field that holds each, and the class of each where it does not say its type.

    A part of no one type has the general class, of which no field is known beyond those that every config has.
    """
    return {
        name: part if issubclass(part, PretrainedConfig) else PretrainedConfig
        for name, part in dict(made.sub_configs).items()
    }


def _known(made: type[PretrainedConfig], adapter: Adapter) -> set[str]:
    rope = adapter.older_rope
    older = {*_OLDER_NAMES, *adapter.older_fields, *filter(None, (rope.theta, rope.share, rope.local_theta))}
    # Of Qwen3-MoE the name that a field is mapped to is the one that is saved, and no field of the class.
    mapped = {*made.attribute_map, *made.attribute_map.values()}
    return (own_fields(made) | mapped | older) - _NEVER


def own_fields(config: type[PretrainedConfig]) -> set[str]:
    """The fields of an architecture's config that are not those of every config."""
    return _names(config) - _names(PretrainedConfig)


def _names(config: type[PretrainedConfig]) -> set[str]:
    if dataclasses.is_dataclass(config):  # transformers 5
        return {field.name for field in dataclasses.fields(config)}
    return set(inspect.signature(config.__init__).parameters)


def _check(value: Any, name: str, model_id: str, depth: int) -> None:
    """ModelError unless `value` is null, a truth value, a short text, a number of reasonable size, or holds such."""
    if isinstance(value, bool | None):
        return
    if isinstance(value, list | dict):
        if len(value) > _LONGEST_LIST or depth == _DEEPEST:
            raise _wrong(name, model_id, "is too long or too deep")
        for inner in value.values() if isinstance(value, dict) else value:
            _check(inner, name, model_id, depth + 1)
        return
    if isinstance(value, str):
        if len(value) > 200:
            raise _wrong(name, model_id, f"is a text of {len(value)} characters")
        return
    if not math.isfinite(value) or abs(value) >= _MOST:
        raise _wrong(name, model_id, f"is {value:.3g}, beyond every number that it can be")
    # Old checkpoints write -1 for a token that they do not have; layers of a vision tower are counted from its end.
    if value < 0 and not (name.endswith(_MINUS_ONE) and value == -1) and name != "vision_feature_layer":
        raise _wrong(name, model_id, f"is {value}, and nothing in a config is negative")


def _wrong(name: str, model_id: str, what: str) -> ModelError:
    return ModelError(
        f"cannot load the config of {model_id}: {name} {what}", "The file may be damaged; compare it with the original."
    )
