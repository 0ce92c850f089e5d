"""Quantised checkpoints: which tensors of the files make which weight, and what cannot be read.

Every weight is dequantised when it is read, so nothing behind this knows of it; METHODS is the table of what can be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from atlas.errors import ModelError
from atlas.live.damaged import Damaged
from atlas.live.safetensors_header import TensorInfo
from atlas.live.shards import Packed, Weights, read_tensor
from atlas.live.unpacking import Unpack, unpack_awq, unpack_fp8, unpack_gptq, unpack_integers, unpack_scaled
from atlas.live.unpacking_blocks import (
    STATE,
    shape_of_experts,
    shape_of_state,
    unpack_bitsandbytes,
    unpack_int8,
    unpack_mxfp4,
)

Settings = Mapping[str, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Method:
    """`parts`: ends of the names of a weight's tensors, the first of which marks it; `optional`: further ones.

    `ignored`: ends of tensors that belong to activations. `shape` is that of the plain weight, from those of the parts;
    None: it is what the marking part says, by `shape_of_state`. `bare`: the weight is called what its parts' names
    begin with, without "weight", and `joint` stands before their ends; a part '' is called so too.
    """

    parts: tuple[str, ...]
    unpack: Unpack
    shape: Callable[[Mapping[str, Shape], Settings], Shape] | None
    optional: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ("input_scale", "activation_scale", "output_scale", "k_scale", "v_scale")
    bare: bool = False
    joint: str = "."


def _rows_packed(shapes: Mapping[str, Shape], settings: Settings) -> Shape:
    rows, outputs = shapes["qweight"]
    return outputs, rows * (32 // settings["bits"])


def _columns_packed(shapes: Mapping[str, Shape], settings: Settings) -> Shape:
    return shapes["qweight"][1] * 8, shapes["qweight"][0]


def _plain(shapes: Mapping[str, Shape], settings: Settings) -> Shape:
    return shapes["weight"]


def _integers(shapes: Mapping[str, Shape], settings: Settings) -> Shape:
    outputs, packed = shapes["weight_packed"]
    return outputs, packed * (32 // settings["bits"])


_NESTED = ("nested_absmax", "nested_quant_map")

GPTQ = Method(("qweight", "qzeros", "scales"), unpack_gptq, _rows_packed, ("g_idx",))
AWQ = Method(("qweight", "qzeros", "scales"), unpack_awq, _columns_packed)
FP8 = Method(("weight_scale_inv", "weight"), unpack_fp8, _plain)
SCALED = Method(("weight_scale", "weight"), unpack_scaled, _plain)
INTEGERS = Method(("weight_packed", "weight_scale", "weight_shape"), unpack_integers, _integers)
INT8 = Method(("SCB", "weight"), unpack_int8, _plain, ("weight_format",))
FOUR_BITS = {
    kind: Method((STATE + kind, "", "absmax", "quant_map"), unpack_bitsandbytes, None, _NESTED, bare=True)
    for kind in ("nf4", "fp4")
}
MXFP4 = Method(("blocks", "scales"), unpack_mxfp4, shape_of_experts, bare=True, joint="_")

_MATRICES = ("qweight", "weight", "weight_packed")

# What only another package reads: method -> the package.
_PACKAGES = {
    "bitsandbytes": "bitsandbytes",
    "aqlm": "aqlm",
    "hqq": "hqq",
    "quanto": "optimum-quanto",
    "torchao": "torchao",
    "compressed-tensors": "compressed-tensors",
    "gptq": "gptqmodel",
    "awq": "gptqmodel",
}


def method_of(config: Mapping[str, Any], model_id: str) -> tuple[Method, dict[str, Any]] | None:
    """How the weights of a checkpoint with this raw config are packed, and the settings that matter; None: not at all.

    Raises ModelError for a way that is not read, naming the package that makes a plain checkpoint of it.
    """
    given = config.get("quantization_config") or config.get("compression_config")
    if not given:
        return None
    if not isinstance(given, dict):
        raise ModelError(
            f"cannot load the config of {model_id}: its quantization_config is no object", "The file may be damaged."
        )
    name = given.get("quant_method")
    if name == "gptq":
        bits, form = given.get("bits"), given.get("checkpoint_format", "gptq")
        if type(bits) is not int or bits not in (2, 4, 8) or form not in ("gptq", "gptq_v2"):
            raise _unread(model_id, name, f"of {bits} bits and the format {form}")
        return GPTQ, {"method": name, "bits": bits, "group_size": _group(given, model_id), "checkpoint_format": form}
    if name == "awq":
        bits, form = given.get("bits", 4), str(given.get("version", given.get("format", "gemm"))).lower()
        if bits != 4 or form != "gemm" or given.get("zero_point", True) is not True:
            raise _unread(model_id, name, f"of {bits} bits and the version {form}")
        return AWQ, {"method": name, "bits": 4, "group_size": _group(given, model_id), "version": form}
    if name == "fp8":
        block = given.get("weight_block_size")
        if block is not None and not (isinstance(block, list) and len(block) == 2 and all(map(_is_size, block))):
            raise _unread(model_id, name, f"in blocks of {str(block)[:40]}")
        return FP8, {"method": name, "weight_block_size": block}
    if name == "compressed-tensors":
        return _compressed(given, model_id)
    if name == "bitsandbytes":
        return _bitsandbytes(given, model_id)
    if name == "mxfp4":
        return MXFP4, {"method": name}
    raise _unread(model_id, str(name)[:40], "")


def _compressed(given: Mapping[str, Any], model_id: str) -> tuple[Method, dict[str, Any]]:
    groups = given.get("config_groups")
    schemes = list(groups.values()) if isinstance(groups, dict) else []
    form = given.get("format")
    numbers = [each.get("weights") if isinstance(each, dict) else None for each in schemes]
    if len(numbers) == 1 and isinstance(numbers[0], dict):
        kind, bits = numbers[0].get("type"), numbers[0].get("num_bits")
        settings = {"method": "compressed-tensors", "format": form, "type": kind, "bits": bits}
        settings["group_size"] = _group(numbers[0], model_id)
        if numbers[0].get("symmetric", True) is True and numbers[0].get("actorder") in (
            None,
            False,
            "weight",
            "static",
        ):
            if (
                form in ("float-quantized", "naive-quantized", "int-quantized")
                and bits == 8
                and kind in ("float", "int")
            ):
                return SCALED, settings
            if form == "pack-quantized" and kind == "int" and bits in (4, 8):
                return INTEGERS, settings
    raise _unread(model_id, "compressed-tensors", f"in the format {str(form)[:40]}")


def _bitsandbytes(given: Mapping[str, Any], model_id: str) -> tuple[Method, dict[str, Any]]:
    # Older configs wrote the two switches with an underscore.
    four, eight = (given.get(f"load_in_{n}bit", given.get(f"_load_in_{n}bit")) is True for n in (4, 8))
    if eight and not four:
        return INT8, {"method": "bitsandbytes", "bits": 8}
    kind, storage = given.get("bnb_4bit_quant_type", "fp4"), given.get("bnb_4bit_quant_storage", "uint8")
    if not four or kind not in FOUR_BITS or storage != "uint8":
        raise _unread(model_id, "bitsandbytes", f"of the type {str(kind)[:20]}, stored as {str(storage)[:20]}")
    nested = given.get("bnb_4bit_use_double_quant", False) is True
    return FOUR_BITS[kind], {"method": "bitsandbytes", "bits": 4, "type": kind, "double_quant": nested}


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _group(given: Mapping[str, Any], model_id: str) -> int | None:
    """Inputs that share a scale; None or -1: all."""
    size = given.get("group_size")
    if size in (None, -1) or _is_size(size):
        return size
    raise ModelError(f"the config of {model_id} has groups of {str(size)[:40]} inputs", "The file may be damaged.")


def _unread(model_id: str, name: str, how: str) -> ModelError:
    package = _PACKAGES.get(name)
    install = f"pip install {package}" if package else "install its package"
    return ModelError(
        f"the checkpoint's weights are quantised ({name}){' ' * bool(how)}{how}, which is not read",
        f"Use the unquantised checkpoint, or make one of it where a GPU is: {install}, load it with transformers, "
        "model.dequantize().save_pretrained(FOLDER).",
    )


def unpacked(weights: Weights, quantised: tuple[Method, Settings] | None) -> Weights:
    """The weights as if they were plain: each packed one under its own name, read from its parts.

    Raises Damaged where a part is missing.
    """
    if quantised is None:
        return weights
    method, settings = quantised
    mark, *others = method.parts
    plain, packed = dict(weights.tensors), dict[str, Packed]()
    for marked in [name for name in weights.tensors if name.endswith(f"{method.joint}{mark}")]:
        stem = marked.removesuffix(mark)
        bare = stem.removesuffix(method.joint)
        sources = {part: f"{stem}{part}" if part else bare for part in (mark, *others, *method.optional)}
        sources = {part: name for part, name in sources.items() if part not in method.optional or name in plain}
        if lost := [name for name in sources.values() if name not in plain]:
            raise Damaged(f"{marked[:100]} is there, and {lost[0][:100]} is not")
        shapes = {part: weights.tensors[name].shape for part, name in sources.items()}
        if any(len(shape) != 2 for part, shape in shapes.items() if part in _MATRICES):
            raise Damaged(f"{marked[:100]} belongs to no matrix")
        for name in sources.values():
            del plain[name]
        weight = bare if method.bare else f"{stem}weight"
        shape = method.shape(shapes, settings) if method.shape else shape_of_state(read_tensor(weights, marked))
        plain[weight] = TensorInfo("F32", shape)
        packed[weight] = Packed(sources, method.unpack, settings)
    for name in [name for name in plain if name.endswith(tuple(f".{end}" for end in method.ignored))]:
        del plain[name]
    if not packed:
        raise Damaged(f"its config says that it is quantised ({settings['method']}), and no {mark} is there")
    return replace(weights, tensors=plain, packed=packed)


def check_linear(model: nn.Module, weights: Weights, model_id: str) -> None:
    """Refuse packed weights of modules that store them in another orientation. Raises ModelError."""
    for name, packed in weights.packed.items():
        owner = name.rpartition(".")[0]
        module = next((module for path, module in model.named_modules() if path.endswith(owner)), None)
        of_experts = packed.unpack is unpack_mxfp4 and getattr(module, "is_transposed", False)
        if not (of_experts or isinstance(module, nn.Linear)):
            raise ModelError(
                f"{name} of {model_id} is quantised, and belongs to a {type(module).__name__}, which is not read",
                "Use the unquantised checkpoint.",
            )


def recorded(quantised: tuple[Method, Settings] | None) -> str | None:
    """The settings as the manifest has them."""
    return None if quantised is None else json.dumps(quantised[1], sort_keys=True)
