"""Under which names a checkpoint's tensors end up in a model: transformers renames some, and joins those of experts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from atlas.errors import ModelError
from atlas.live.adapters.base import Adapter
from atlas.live.checkpoint import check_complete, misshapen
from atlas.live.shards import Weights
from atlas.live.versions import ran_with


def converted_names(model: Any, stored: Iterable[str]) -> dict[str, list[str]]:
    """Name in the model -> the stored tensors that make it up, in their order. `model` may be on the meta device.

    Raises ModelError where this version of transformers converts in a way that is not known here.
    """
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
    except ImportError as error:
        raise ModelError(
            "this version of transformers loads experts in a way that is not known here", f"Ran with {ran_with()}."
        ) from error
    transforms = get_model_conversion_mapping(model)
    converters = [each for each in transforms if isinstance(each, WeightConverter)]
    renamings = [each for each in transforms if isinstance(each, WeightRenaming)]
    wanted = model.state_dict()
    found: dict[str, list[str]] = {}
    for name in stored:
        target, _ = rename_source_key(name, renamings, converters, model.base_model_prefix, wanted)
        found.setdefault(target, []).append(name)
    return found


def check_converted(model: Any, weights: Weights, adapter: Adapter, model_id: str, architecture: str) -> None:
    """Refuse tensors that do not fill `model` exactly once they are renamed and joined. Raises ModelError."""
    wanted = model.state_dict(keep_vars=True)
    found = converted_names(model, weights.tensors)
    held = {id(wanted[name]) for name in found if name in wanted}  # a tied embedding has two names and is stored once
    report = {
        "missing_keys": [name for name, tensor in wanted.items() if id(tensor) not in held],
        "unexpected_keys": [part for name, parts in found.items() if name not in wanted for part in parts],
    }
    check_complete(report, adapter, model_id, architecture)
    for name, parts in found.items():
        if name not in wanted:
            continue  # a buffer that is computed anew
        shape = tuple(wanted[name].shape)
        # A layer's only expert is stored alone, and stacked with none.
        if len(parts) == 1 and shape not in (stored := weights.tensors[parts[0]].shape, (1, *stored)):
            raise misshapen(model_id, parts[0], weights.tensors[parts[0]].shape, shape)
        n_elements = sum(weights.tensors[part].n_elements for part in parts)
        if n_elements != wanted[name].numel():
            raise ModelError(
                f"cannot load the weights of {model_id}: {len(parts)} tensors such as {parts[0]} have {n_elements} "
                f"numbers together, and the config asks for {list(shape)} of {name}",
                "It may be damaged or incomplete.",
            )
