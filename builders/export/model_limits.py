"""What a model rules out for a target as a whole, whatever the spec says; what one edit meets is in the targets."""

from __future__ import annotations

from atlas.errors import SpecError
from atlas.live.model import LiveModel
from builders.export.registry import TARGETS, Target


def limit(row: Target, *, flat: bool, has_gguf_name: bool, reads_text_alone: bool) -> str | None:
    """Why `row` cannot express anything of such a model, or None.

    `flat`: its MLPs see the tokens of all texts on one axis. `has_gguf_name`: llama.cpp knows the architecture.
    `reads_text_alone`: transformers loads it by a class of text alone, and not by one that also sees images.
    """
    if row.name == "control-vector" and not has_gguf_name:
        return "llama.cpp has no such architecture"
    if not reads_text_alone:
        return "exports are loaded with AutoModelForCausalLM, and transformers has another class for this model"
    if row.output == "code" and flat:
        return "its blocks lay the tokens of all texts on one axis, and the emitted code does not tell them apart"
    return None


def check_model_fits(row: Target, live: LiveModel) -> None:
    """Raise SpecError with the reason, and the targets that can, where the model rules the target out."""
    has_gguf_name = live.gguf_name is not None
    facts = {"flat": live.adapter.flat, "has_gguf_name": has_gguf_name, "reads_text_alone": live.reads_text_alone}
    reason = limit(row, **facts)
    if reason is not None:
        able = [name for name, other in TARGETS.items() if limit(other, **facts) is None]
        hint = f"Targets that can: {', '.join(able)}." if able else "Use neuron-atlas run, or intervene in Python."
        raise SpecError(f"{row.name} cannot express edits of {live.architecture}: {reason}", hint)
