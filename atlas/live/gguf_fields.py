"""Fields of a GGUF file that say how its model computes: does the model that transformers makes of it agree?

transformers translates some of them into a config and passes over the others. One that it passes over is fine where it
says what the config says anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transformers import PretrainedConfig

from atlas.errors import ModelError

# Sizes, which the shapes of the weights bear out, and what does not change a pass.
_NO_MATTER = {
    "vocab_size", "context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
    "attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon", "rope.freq_base", "tensor_data_layout", "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
}  # fmt: skip


def check_fields(fields: Mapping[str, Any], config: PretrainedConfig, model_id: str) -> None:
    """Raise ModelError for a field of the file's architecture that says something else than `config`, or is unknown."""
    prefix = f"{fields.get('general.architecture')}."
    for field, value in fields.items():
        name = field.removeprefix(prefix)
        if name == field or name in _NO_MATTER:
            continue
        if name not in _MEANT or not _same(value, _MEANT[name](config)):
            raise ModelError(
                f"{model_id} says {field} = {str(value)[:60]}, and the model that is made of it does not compute so",
                "transformers does not read that field; use the checkpoint in safetensors.",
            )


def _same(found: Any, meant: Any) -> bool:
    if isinstance(found, float) and isinstance(meant, int | float):
        return abs(found - meant) <= 1e-6 * abs(meant)  # the file has float32
    return found in meant if isinstance(meant, tuple) else found == meant


def _rotated(config: PretrainedConfig) -> int:
    """How many dimensions of a head are rotated."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(width * _rope(config, "full_attention").get("partial_rotary_factor", 1.0))


def _rope(config: PretrainedConfig, kind: str) -> Mapping[str, Any]:
    parameters = getattr(config, "rope_parameters", None) or {}
    return parameters[kind] if kind in parameters else parameters


def _window(config: PretrainedConfig) -> int | None:
    return getattr(config, "sliding_window", None)


def _pattern(config: PretrainedConfig) -> tuple[int, list[bool]]:
    """Which layers attend to a window, in both ways that files write it: every how many layers one does not (0 where
    they differ in another way), and whether each does.
    """
    full = [kind == "full_attention" for kind in getattr(config, "layer_types", None) or []]
    step = full.index(True) + 1 if True in full else 0
    regular = step and full == [(layer + 1) % step == 0 for layer in range(len(full))]
    return (step if regular else 0), [not one for one in full]


_MEANT: dict[str, Callable[[PretrainedConfig], Any]] = {
    "attn_logit_softcapping": lambda config: getattr(config, "attn_logit_softcapping", None),
    "final_logit_softcapping": lambda config: getattr(config, "final_logit_softcapping", None),
    "attention.sliding_window": _window,
    "attention.sliding_window_pattern": _pattern,
    "attention.causal": lambda config: True,
    "rope.dimension_count": _rotated,
    "rope.dimension_count_swa": _rotated,
    "rope.freq_base_swa": lambda config: _rope(config, "sliding_attention").get("rope_theta"),
    "rope.scaling.type": lambda config: "none",
    "rope.scaling.factor": lambda config: 1.0,
    "expert_count": lambda config: 0,
    "expert_used_count": lambda config: 0,
}
