"""What a model's config says about its computation, apart from its weights: a part of the fingerprint.

Every field of the config's class counts whose value is not the one that the class takes by itself for a model of these
sizes, unless it is known to change nothing that is computed: so a field that nobody here has heard of counts, and one
that a later version of transformers adds, with a default, does not. Rotary settings always count. What can be written
in several ways is brought into one: rotary settings at the top level or gathered, numbers whole or with decimals, and
to six digits, as GGUF files round them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import PretrainedConfig

from atlas.live.config_fields import own_fields

if TYPE_CHECKING:
    from atlas.live.network import CausalModel

SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
    "vocab_size",
)  # fmt: skip
"""Fields, by their general names, that defaults of other fields follow from."""

# For training, for generation, for the memory; or said by the weights, whose shapes and ties count by themselves.
_HARMLESS = re.compile(
    r"drop|loss|jitter|label|initializer|gradient_checkpointing|pretraining_tp|problem_type|"
    r"^init_|^output_|^summary_|^use_cache$|^tie_|_token_id$|_token_index$|dtype"
)
# `layer_types` says what they lead to.
_IN_LAYER_TYPES = ("max_window_layers", "use_sliding_window", "sliding_window_pattern")
# Counted by other means, or only together with scaled rotary settings.
_ELSEWHERE = ("rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor", "rotary_pct", "rotary_emb_base")
_POSITIONS = ("max_position_embeddings", "original_max_position_embeddings")


def computation(model: CausalModel) -> dict[str, Any]:
    """JSON values by name, equal for models whose configs have the same computed from the same weights."""
    config = model.config
    names = {name: type(config).attribute_map.get(name, name) for name in (*SIZES, *_POSITIONS)}
    ordinary = _of_these_sizes(config, names)
    rope = _rope(getattr(config, "rope_parameters", None))
    skipped = {*names.values(), *_ELSEWHERE}
    if getattr(config, "layer_types", None) is not None:
        skipped.update(_IN_LAYER_TYPES)
    facts: dict[str, Any] = {"model_type": config.model_type, "heads": _heads(config)}
    if rope:
        facts["rope"] = rope
        if "rope_type" in json.dumps(rope):  # a scaled one, which may go by the longest input
            facts |= {name: _plain(getattr(config, names[name], None)) for name in _POSITIONS}
    for name in sorted(own_fields(type(config)) - skipped):
        value = _plain(getattr(config, name, None))
        if not _HARMLESS.search(name) and value != _plain(getattr(ordinary, name, None)):
            facts[name] = value
    if any(isinstance(module, nn.Embedding) and module is not _words(model) and module.padding_idx is not None
           for module in model.modules()):  # fmt: skip
        facts["pad_token_id"] = config.pad_token_id  # positions are counted from it
    return facts


def _words(model: CausalModel) -> nn.Module:
    return model.get_input_embeddings()


def _of_these_sizes(config: PretrainedConfig, names: dict[str, str]) -> PretrainedConfig:
    """The config that the class makes of nothing but the sizes, or of nothing where these do not suffice for it."""
    kind = type(config)
    wanted = [names[name] for name in SIZES]
    # What a class works out of other fields is no field to be given (Falcon's head_dim).
    wanted = [name for name in wanted if hasattr(config, name) and not isinstance(getattr(kind, name, None), property)]
    sizes = {name: getattr(config, name) for name in wanted}
    try:
        return kind(**{name: value for name, value in sizes.items() if value is not None})
    except Exception:  # what a class refuses differs: GPT-Neo asks for a list as long as the number of layers
        return kind()


def _heads(config: PretrainedConfig) -> list[Any]:
    """How many heads, how many of keys, and their width: versions differ in which of these a config holds."""
    heads = getattr(config, "num_attention_heads", None)
    hidden = getattr(config, "hidden_size", None)
    keys = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None)
    if width is None and isinstance(heads, int) and heads and isinstance(hidden, int):
        width = hidden // heads
    return [_plain(heads), _plain(keys), _plain(width)]


def _rope(given: Any) -> Any:
    """Rotary settings without what is the same as absent: the plain type, all of a head rotated, the older name."""
    if not isinstance(given, dict):
        return None
    kind = given.get("rope_type", given.get("type"))
    found = {name: _rope(value) if isinstance(value, dict) else _plain(value) for name, value in given.items()}
    found.pop("type", None)
    if kind in ("default", None):
        for name in ("rope_type", "original_max_position_embeddings"):
            found.pop(name, None)
    if found.get("partial_rotary_factor") == _plain(1):
        del found["partial_rotary_factor"]
    return {name: value for name, value in sorted(found.items()) if value is not None}


def _plain(value: Any) -> Any:
    """A JSON value of the value of a field, the same for 10000 and 10000.0; numbers as texts of six digits."""
    if isinstance(value, bool | str | None):
        return value
    if isinstance(value, int | float):
        return f"{float(value):.6g}"
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in sorted(value.items()) if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, PretrainedConfig):
        return _plain(value.to_diff_dict())
    return str(value)
