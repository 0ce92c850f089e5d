"""Packed matrices back into plain ones: the arithmetic of each format of quantised weights, and nothing else.

Where transformers has the arithmetic it is called; GPTQ, AWQ and the integers of compressed-tensors have a few lines
here, after the kernels that run them: whole numbers less their zero point, times a scale, in the dtype of the scales.
Axes: I inputs, O outputs, G groups of inputs that share a scale. Results are [O, I].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from atlas.live.damaged import Damaged

Parts = Mapping[str, Tensor]
"""The stored tensors of one weight, by the end of their names."""
Unpack = Callable[[Parts, Mapping[str, Any]], Tensor]
"""(parts, settings of the config) -> the weight."""

# Nibble i of a packed integer is the output of this number among eight.
_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def unpack_gptq(parts: Parts, settings: Mapping[str, Any]) -> Tensor:
    """qweight int32 [I / n, O] and qzeros int32 [G, O / n] of n numbers each, scales [G, O]; g_idx [I], or in order.

    Files of the first version hold zero points less 1.
    """
    bits = settings["bits"]
    q_IO, z_GO = _fields(parts["qweight"], bits, 0), _fields(parts["qzeros"], bits, 1)
    if settings.get("checkpoint_format", "gptq") == "gptq":
        if int(z_GO.max()) == (1 << bits) - 1:
            raise Damaged("a zero point lies beyond the numbers, which versions of GPTQ read differently")
        z_GO = z_GO + 1
    return _scaled(q_IO, z_GO, parts["scales"], parts.get("g_idx"), settings).T


def unpack_awq(parts: Parts, settings: Mapping[str, Any]) -> Tensor:
    """qweight int32 [I, O / 8] and qzeros int32 [G, O / 8], eight numbers in an order of their own; scales [G, O]."""
    place = torch.tensor(_AWQ_ORDER).argsort()

    def ordered(packed: Tensor) -> Tensor:
        numbers = _fields(packed, 4, 1)
        return numbers.view(len(packed), -1, 8)[:, :, place].reshape(len(packed), -1)

    return _scaled(ordered(parts["qweight"]), ordered(parts["qzeros"]), parts["scales"], None, settings).T


def unpack_fp8(parts: Parts, settings: Mapping[str, Any]) -> Tensor:
    """weight float8 [O, I] and weight_scale_inv, one a block, by transformers' own operation; float32."""
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    weight_OI, scale = parts["weight"], parts["weight_scale_inv"]
    block = settings["weight_block_size"]
    if block is None:
        _require(scale.numel() == 1, "one scale is needed for all of a matrix")
    else:  # the operation takes the size of a block from the scales, whatever the config says
        wanted = tuple(size // side for size, side in zip(weight_OI.shape, block, strict=True))
        _require(tuple(scale.shape) == wanted, f"scales {list(scale.shape)} do not belong to blocks of {block}")
    operation = Fp8Dequantize(None)
    found: Tensor = operation._dequantize_one(weight_OI, scale, torch.float32)
    return found


def unpack_scaled(parts: Parts, settings: Mapping[str, Any]) -> Tensor:
    """weight float8 or int8 [O, I] and weight_scale, one or [O, 1]; float32, as transformers does it."""
    weight_OI, scale = parts["weight"], parts["weight_scale"]
    _require(scale.numel() == 1 or tuple(scale.shape) == (len(weight_OI), 1), "scales are of one matrix or its rows")
    return weight_OI.float() * scale.float()


def unpack_integers(parts: Parts, settings: Mapping[str, Any]) -> Tensor:
    """weight_packed int32 of n numbers each along the inputs, weight_scale [O, G], weight_shape (O, I).

    Numbers are kept from 0 on, so half of their range is taken off.
    """
    outputs, inputs = parts["weight_shape"].tolist()
    bits = settings["bits"]
    q_OI = _fields(parts["weight_packed"], bits, 1)[:outputs, :inputs] - (1 << (bits - 1))
    scale_OG = parts["weight_scale"]
    _require(scale_OG.ndim == 2 and len(scale_OG) == outputs, "scales are not of each output")
    _check_groups(inputs, scale_OG.shape[1], settings)
    weight_OI: Tensor = q_OI.to(scale_OG.dtype) * scale_OG.repeat_interleave(inputs // scale_OG.shape[1], 1)
    return weight_OI


def _fields(packed: Tensor, bits: int, axis: int) -> Tensor:
    """The numbers of so many bits in int32, lowest first, side by side along `axis`."""
    if packed.dtype != torch.int32 or packed.ndim != 2:
        raise Damaged("packed numbers are no matrix of int32")
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    numbers = packed[..., None].bitwise_right_shift(shifts).bitwise_and((1 << bits) - 1)  # [rows, columns, n]
    if axis == 0:
        return numbers.transpose(1, 2).reshape(-1, packed.shape[1])
    return numbers.reshape(len(packed), -1)


def _scaled(
    q_IO: Tensor, z_GO: Tensor, scale_GO: Tensor, group_I: Tensor | None, settings: Mapping[str, Any]
) -> Tensor:
    """[I, O] in the dtype of the scales."""
    inputs, groups = len(q_IO), len(scale_GO)
    _check_groups(inputs, groups, settings)
    if z_GO.shape != scale_GO.shape or q_IO.shape[1] != scale_GO.shape[1] or not scale_GO.is_floating_point():
        raise Damaged("packed numbers, zero points and scales have no shapes that belong together")
    if group_I is None:
        group_I = torch.arange(inputs) // (inputs // groups)
    group_I = group_I.long()
    if group_I.shape != (inputs,) or int(group_I.min()) < 0 or int(group_I.max()) >= groups:
        raise Damaged("g_idx names groups that are not there")
    return (q_IO - z_GO[group_I]).to(scale_GO.dtype) * scale_GO[group_I]


def _check_groups(inputs: int, groups: int, settings: Mapping[str, Any]) -> None:
    """Scales of another grid than the config's would be read as other weights, and nobody would notice."""
    size = settings.get("group_size")
    wanted = 1 if size in (None, -1) else inputs // size
    _require(
        groups == wanted and inputs % groups == 0, f"{inputs} inputs have {groups} groups, of {size} by the config"
    )


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Damaged(what)
