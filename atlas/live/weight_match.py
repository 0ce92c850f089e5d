"""Do a config and a checkpoint's weights belong together? Found out from shapes alone, before any memory is taken."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PretrainedConfig

from atlas.errors import ModelError
from atlas.live.adapters.base import Adapter
from atlas.live.checkpoint import check_complete, is_recomputed, misshapen
from atlas.live.converted_names import check_converted
from atlas.live.renaming import translator
from atlas.live.shards import Weights

_FLOATS = ("F64", "F32", "F16", "BF16")
_SPARE_BUFFERS = 256 << 20  # bytes of tables and masks beside the weights


def check_layers(
    config: Mapping[str, Any], attribute_map: Mapping[str, str], weights: Weights, adapter: Adapter, model_id: str
) -> None:
    """Refuse a config that asks for more blocks than there are weights of: to build them takes minutes."""
    # A model saved without its LM head leaves out what stands before the last name, as in h.3 for transformer.h.3.
    blocks = adapter.block.removesuffix(".{layer}").rpartition(".")[2]
    layer = re.compile(rf"(?:^|\.){re.escape(blocks)}\.(\d+)\.")
    numbers = {int(found[1][:9]) for name in weights.tensors if (found := layer.search(name))}
    if not numbers:  # other names, which transformers translates: at most as many layers as there are numbers
        numbers = {int(number[:9]) for name in weights.tensors for number in re.findall(r"\.(\d+)\.", name)}
    check_layer_count(config, attribute_map, len(numbers), model_id)


def check_parts(fields: Mapping[str, Any], weights: Weights, model_id: str) -> None:
    """The same for every part beside the language model, each of whose blocks has one weight at least."""
    for part in fields.values():
        for name in ("num_hidden_layers", "num_layers", "depth") if isinstance(part, dict) else ():
            wanted = part.get(name)
            if type(wanted) is int and wanted > len(weights.tensors):
                raise ModelError(
                    f"cannot load the config of {model_id}: {name} is {wanted}, and there are {len(weights.tensors)} "
                    "tensors in all",
                    "The file may be damaged.",
                )


def check_layer_count(config: Mapping[str, Any], attribute_map: Mapping[str, str], held: int, model_id: str) -> None:
    """The same with the number of blocks, or any bound of it. Raises ModelError."""
    general = "num_hidden_layers"
    for field in {general, attribute_map.get(general, general)} & config.keys():
        wanted = config[field]
        if type(wanted) is not int or wanted < 1:
            raise ModelError(
                f"cannot load the config of {model_id}: {field} is {str(wanted)[:40]}", "The file may be damaged."
            )
        if wanted > held:
            raise ModelError(
                f"the checkpoint {model_id} lacks tensors that its config asks for: weights of at most {held} layers "
                f"are there, and {field} is {wanted}",
                "It may be damaged or incomplete.",
            )


def check_dtypes(weights: Weights, adapter: Adapter, model_id: str) -> None:
    """Refuse weights that are no floating-point numbers, such as packed or complex ones."""
    for name, tensor in weights.tensors.items():
        if tensor.dtype not in _FLOATS and not is_recomputed(name, adapter):
            raise ModelError(
                f"cannot load the weights of {model_id}: {name[:100]} is of dtype {tensor.dtype}, "
                f"and weights are {', '.join(_FLOATS)}",
                "Use the unquantised checkpoint, or a GGUF file, which is dequantised on loading.",
            )


def check_fit(
    model_class: type,
    config: PretrainedConfig,
    weights: Weights,
    adapter: Adapter,
    model_id: str,
    architecture: str,
    dtype: torch.dtype | None,
) -> Fit:
    """Refuse weights that are not exactly the parameters of `model_class(config)`, or that no memory can hold.

    `architecture`: the class that the config says was saved. `dtype`: what they are to be held in; None: they stay in
    their files. Raises ModelError that names the first misfit.
    """
    with torch.device("meta"):
        model = model_class(config)
    if adapter.experts is not None or adapter.joined:
        check_converted(model, weights, adapter, model_id, architecture)
        check_memory(model, weights, model_id, dtype)
        return Fit(model, {})
    wanted = model.state_dict(keep_vars=True)

    def place(name: str) -> str:
        """A tensor's name without what may differ between the file and the class, as transformers translates it."""
        # A model saved without its LM head leaves the prefix out.
        short = name.removeprefix(model.base_model_prefix + ".")
        if adapter.heads:
            # Checkpoints converted from TensorFlow call the numbers of a norm so.
            short = short.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        return adapter.lm_heads[0] if short in adapter.lm_heads else short

    called_here = translator(model)
    found = {place(called_here(name)): name for name in weights.tensors}
    if len(found) < len(weights.tensors):
        raise ModelError(f"cannot load the weights of {model_id}: tensors are there twice", "The file may be damaged.")
    places = {name: found.get(place(name)) for name in wanted}
    # A tied embedding has two names and is stored once.
    held = {id(tensor) for name, tensor in wanted.items() if places[name] is not None}
    report = {
        "missing_keys": [name for name, tensor in wanted.items() if id(tensor) not in held],
        "unexpected_keys": weights.tensors.keys() - set(places.values()),
    }
    check_complete(report, adapter, model_id, architecture)
    for name, stored in places.items():
        if stored is not None and weights.tensors[stored].shape != tuple(wanted[name].shape):
            raise misshapen(model_id, stored, weights.tensors[stored].shape, wanted[name].shape)
    check_memory(model, weights, model_id, dtype)
    return Fit(model, places)


class Fit(NamedTuple):
    """`model`: without values. `places`: for each name in it that of the tensor in the files, None for a tied one."""

    model: nn.Module
    places: dict[str, str | None]


def check_memory(model: nn.Module, weights: Weights, model_id: str, dtype: torch.dtype | None) -> None:
    """Refuse tables far larger than the weights, and weights that no memory holds as `dtype` (None: they are not held).

    Raises ModelError.
    """
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    if buffers > 4 * weights.n_elements + _SPARE_BUFFERS:
        raise ModelError(
            f"the config of {model_id} asks for tables of {_gigabytes(buffers)}, far more than its weights take",
            "Its number of positions may be wrong.",
        )
    needed = (0 if dtype is None else weights.n_elements * dtype.itemsize) + buffers
    if needed > (there := _physical_memory()):
        raise ModelError(
            f"{model_id} needs {_gigabytes(needed)} of memory, and this machine has {_gigabytes(there)}",
            "Use a smaller model, or --dtype bfloat16.",
        )


def _physical_memory() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not told on this system
        return float("inf")


def _gigabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
