"""Packed weights of the formats that share a scale over a block of numbers wherever a matrix's rows end.

bitsandbytes (nf4, fp4 and int8) and MXFP4, which experts are published in. A few lines each, after the kernels that run
them; what they give was compared with the packages themselves, number for number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from atlas.json_text import JsonError, read_json
from atlas.live.damaged import Damaged

STATE = "quant_state.bitsandbytes__"
"""With nf4 or fp4 after it, the end of the name of the tensor that says how a matrix was packed."""
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_LONGEST = 2000
_BYTE_INVERSE = 7.874015748031496e-3  # 1 / 127
# Sign, two bits of exponent, one of fraction (OCP Microscaling Formats 1.0, E2M1).
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def state_of(text: Tensor) -> dict[str, Any]:
    """What bitsandbytes says of a matrix: JSON as bytes. Raises Damaged."""
    if text.dtype != torch.uint8 or text.ndim != 1 or len(text) > _LONGEST:
        raise Damaged("a quant_state is no text")
    try:
        state = read_json(bytes(text.tolist()))
    except JsonError as error:
        raise Damaged(f"a quant_state is {error}") from None
    shape = state.get("shape") if isinstance(state, dict) else None
    if not (isinstance(shape, list) and len(shape) == 2 and all(_is_size(side) for side in shape)):
        raise Damaged("a quant_state names no shape of a matrix")
    if state.get("dtype") not in _DTYPES or not _is_size(state.get("blocksize")):
        raise Damaged("a quant_state names no dtype or size of a block")
    return dict(state)


def shape_of_state(text: Tensor) -> tuple[int, int]:
    """The shape of the plain matrix."""
    outputs, inputs = state_of(text)["shape"]
    return outputs, inputs


def unpack_bitsandbytes(parts: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Tensor:
    """uint8 of two numbers each, the higher four bits first, along the rows of [O, I] one after another.

    A number is the place of its value in quant_map [16], times absmax of its block; absmax may be packed itself, as
    places in nested_quant_map [256] times nested_absmax of a block of them, plus an offset. Computed in float32,
    rounded to the dtype that was packed.
    """
    state = state_of(next(tensor for part, tensor in parts.items() if part.startswith(STATE)))
    outputs, inputs = state["shape"]
    n, size = outputs * inputs, state["blocksize"]
    packed, code, absmax = parts[""], parts["quant_map"], parts["absmax"].reshape(-1)
    n_blocks = -(-n // size)
    if packed.dtype != torch.uint8 or packed.numel() != -(-n // 2) or len(absmax) != n_blocks:
        raise Damaged("packed numbers and their scales are not as many as the shape has")
    if code.shape != (16,) or code.dtype != torch.float32:
        raise Damaged("a quant_map has no 16 values")
    if "nested_absmax" in parts:
        absmax = _nested(absmax, parts, state)
    if absmax.dtype != torch.float32:
        raise Damaged("scales of blocks are no float32 numbers")
    bytes_H = packed.reshape(-1)
    numbers = torch.stack([bytes_H >> 4, bytes_H & 15], 1).reshape(-1)[:n]
    values = code[numbers.long()]
    values.mul_(absmax.repeat_interleave(size)[:n])
    found: Tensor = values.to(_DTYPES[state["dtype"]]).view(outputs, inputs)
    return found


def unpack_int8(parts: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Tensor:
    """weight int8 [O, I] and SCB [O], the largest value of each row, which 127 stands for; float32."""
    weight_OI, largest_O, form = parts["weight"], parts["SCB"], parts.get("weight_format")
    if weight_OI.dtype != torch.int8 or largest_O.dtype != torch.float32 or largest_O.shape != (len(weight_OI),):
        raise Damaged("int8 numbers and the largest values of their rows do not belong together")
    if form is not None and form.reshape(-1).tolist() != [0]:
        raise Damaged("int8 numbers lie in the order of a GPU's tiles")
    return weight_OI.float() * largest_O[:, None] * _BYTE_INVERSE


def unpack_mxfp4(parts: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Tensor:
    """blocks uint8 [E, O, G, 16] of two E2M1 numbers each, the lower four bits first, and scales [E, O, G].

    E experts, G groups of 32 inputs. A scale is the exponent of a power of two, from -127 on. Gives [E, I, O], as
    such modules hold them, in bfloat16, which loses nothing.
    """
    blocks, scales = parts["blocks"], parts["scales"]
    if blocks.dtype != torch.uint8 or scales.dtype != torch.uint8 or blocks.shape != (*scales.shape, 16):
        raise Damaged("blocks and scales of experts do not belong together")
    if int(scales.max()) == 255:
        raise Damaged("a scale of a block is not a number")
    values = torch.tensor([*_E2M1, *(-value for value in _E2M1)], dtype=torch.bfloat16)
    experts = []
    for blocks_OGH, scale_OG in zip(blocks, scales, strict=True):
        numbers = torch.stack([blocks_OGH & 15, blocks_OGH >> 4], -1).flatten(2)  # [O, G, 32]
        exponent_OG1 = scale_OG.to(torch.int32)[..., None] - 127
        scaled = torch.ldexp(values[numbers.long()].float(), exponent_OG1)
        experts.append(scaled.flatten(1).T.to(torch.bfloat16))
    return torch.stack(experts)


def shape_of_experts(shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, Any]) -> tuple[int, ...]:
    """[E, I, O] of the shape of MXFP4's blocks. Raises Damaged for another form."""
    blocks = shapes["blocks"]
    if len(blocks) != 4 or blocks[3] != 16:
        raise Damaged(f"blocks have the shape {list(blocks)}, and experts have [experts, outputs, groups, 16]")
    return blocks[0], blocks[2] * 32, blocks[1]


def _nested(places: Tensor, parts: Mapping[str, Tensor], state: Mapping[str, Any]) -> Tensor:
    size: Any = state.get("nested_blocksize")
    offset = state.get("nested_offset")
    code, absmax = parts["nested_quant_map"], parts["nested_absmax"]
    if not _is_size(size) or not isinstance(offset, int | float) or code.shape != (256,) or code.dtype != torch.float32:
        raise Damaged("scales of blocks are packed in a way that is not told")
    if places.dtype != torch.uint8 or absmax.shape != (-(-len(places) // size),) or absmax.dtype != torch.float32:
        raise Damaged("packed scales of blocks and their own scales do not belong together")
    return code[places.long()] * absmax.repeat_interleave(size)[: len(places)] + offset


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31
