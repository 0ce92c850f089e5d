"""What a checkpoint calls a tensor, and what transformers' class for it does: published names are often older."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightRenaming, rename_source_key


def translator(model: Any) -> Callable[[str], str]:
    """A function from a tensor's name in a file to that in `model`, a PreTrainedModel; as transformers' loader has it.

    Tensors that the loader also cuts or joins keep their names.
    """
    renamings = [step for step in get_model_conversion_mapping(model) if isinstance(step, WeightRenaming)]
    if not renamings:
        return lambda name: name
    return lambda name: rename_source_key(name, renamings, [])[0]
