"""Packs matrices as quantised checkpoints hold them, and says in NumPy which matrices those are.

Written from the descriptions of the formats, one number after another; nothing of atlas.live takes part.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

GROUP = 16
Packing = tuple[dict[str, torch.Tensor], np.ndarray]
"""The parts by the ends of their names, and the matrix [O, I] that they hold, float32."""


def packed_bits(numbers: np.ndarray, bits: int, places: list[int]) -> np.ndarray:
    """[rows, columns]: columns / n integers of 32 bits; number `places[i]` of each n lies i fields from the lowest."""
    n = 32 // bits
    rows = []
    for row in numbers.tolist():
        words = [sum(row[at + place] << (bits * i) for i, place in enumerate(places)) for at in range(0, len(row), n)]
        rows.append(words)
    return np.array(rows, np.uint64).astype(np.uint32).view(np.int32)


def _grouped(draw: np.random.Generator, outputs: int, inputs: int, bits: int) -> tuple[np.ndarray, ...]:
    groups = inputs // GROUP
    q_IO = draw.integers(0, 1 << bits, (inputs, outputs))
    z_GO = draw.integers(1, (1 << bits) - 1, (groups, outputs))
    scale_GO = (draw.uniform(0.5, 1.5, (groups, outputs)) / (1 << bits)).astype(np.float16)
    return q_IO, z_GO, scale_GO


def gptq(draw: np.random.Generator, outputs: int, inputs: int, *, bits: int, version: int, shuffled: bool) -> Packing:
    """Numbers of a column lie in one integer, zero points of a row; the first version stores these less 1."""
    q_IO, z_GO, scale_GO = _grouped(draw, outputs, inputs, bits)
    group_I = np.arange(inputs) // GROUP
    if shuffled:
        draw.shuffle(group_I)
    in_order = list(range(32 // bits))
    parts = {
        "qweight": np.ascontiguousarray(packed_bits(q_IO.T, bits, in_order).T),
        "qzeros": packed_bits(z_GO - (version == 1), bits, in_order),
        "scales": scale_GO,
    }
    if shuffled:
        parts["g_idx"] = group_I.astype(np.int32)
    w_IO = np.stack([(q_IO[i] - z_GO[g]).astype(np.float16) * scale_GO[g] for i, g in enumerate(group_I)])
    return _tensors(parts), w_IO.T.astype(np.float32)


def awq(draw: np.random.Generator, outputs: int, inputs: int) -> Packing:
    """Numbers and zero points of a row lie in one integer, in the order 0 2 4 6 1 3 5 7."""
    q_IO, z_GO, scale_GO = _grouped(draw, outputs, inputs, 4)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    parts = {"qweight": packed_bits(q_IO, 4, order), "qzeros": packed_bits(z_GO, 4, order), "scales": scale_GO}
    w_IO = [(q_IO[i] - z_GO[i // GROUP]).astype(np.float16) * scale_GO[i // GROUP] for i in range(inputs)]
    return _tensors(parts), np.stack(w_IO).T.astype(np.float32)


def e4m3(code: int) -> float:
    """The value of a float8 of 4 bits of exponent and 3 of mantissa, of the kind that has no infinity."""
    sign, exponent, mantissa = -1.0 if code & 128 else 1.0, code >> 3 & 15, code & 7
    return sign * (mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7))


def _codes(draw: np.random.Generator, outputs: int, inputs: int) -> tuple[torch.Tensor, np.ndarray]:
    codes = draw.integers(0, 256, (outputs, inputs)).astype(np.uint8)
    codes[codes & 127 > 112] &= 0x8F  # no NaN, and nothing very large
    values = np.array([e4m3(code) for code in codes.ravel().tolist()], np.float32).reshape(codes.shape)
    return torch.from_numpy(codes).view(torch.float8_e4m3fn), values


def fp8(draw: np.random.Generator, outputs: int, inputs: int) -> Packing:
    """One scale for a square block."""
    codes, values = _codes(draw, outputs, inputs)
    scale = draw.uniform(0.001, 0.01, (outputs // GROUP, inputs // GROUP)).astype(np.float32)
    wide = np.kron(scale, np.ones((GROUP, GROUP), np.float32))
    return {"weight": codes, "weight_scale_inv": torch.from_numpy(scale)}, values * wide


def fp8_rows(draw: np.random.Generator, outputs: int, inputs: int) -> Packing:
    """One scale for each output."""
    codes, values = _codes(draw, outputs, inputs)
    scale = torch.from_numpy(draw.uniform(0.001, 0.01, (outputs, 1))).bfloat16()
    return {"weight": codes, "weight_scale": scale, "input_scale": torch.ones(1)}, values * scale.float().numpy()


def integers(draw: np.random.Generator, outputs: int, inputs: int) -> Packing:
    """Integers from -8 on, kept from 0 on, eight a word along the inputs; bfloat16 scales of groups."""
    q_OI = draw.integers(-8, 8, (outputs, inputs))
    scale_OG = torch.from_numpy(draw.uniform(0.05, 0.1, (outputs, inputs // GROUP))).bfloat16()
    parts = {
        "weight_packed": torch.from_numpy(packed_bits(q_OI + 8, 4, list(range(8)))),
        "weight_scale": scale_OG,
        "weight_shape": torch.tensor([outputs, inputs]),
    }
    wide = np.repeat(scale_OG.float().numpy(), GROUP, axis=1)
    # A product of bfloat16 numbers is rounded to bfloat16.
    return parts, torch.from_numpy((q_OI * wide).astype(np.float32)).bfloat16().float().numpy()


# QLoRA (arXiv 2305.14314), appendix E, and the float of 4 bits that bitsandbytes calls fp4.
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
FP4 = (0.0, 0.0052083333, 2 / 3, 1.0, 1 / 3, 0.5, 1 / 6, 0.25)
FP4 += tuple(-value for value in FP4)
BLOCK, NESTED_BLOCK = 64, 8


def four_bits(draw: np.random.Generator, outputs: int, inputs: int, *, kind: str, nested: bool) -> Packing:
    """Two numbers a byte, the first one above; one scale for 64 numbers in a row, over the ends of rows."""
    code = np.array(NF4 if kind == "nf4" else FP4, np.float32)
    numbers = draw.integers(0, 16, outputs * inputs)
    packed = [int(numbers[at]) << 4 | int(numbers[at + 1]) for at in range(0, len(numbers), 2)]
    n_blocks = -(-len(numbers) // BLOCK)
    absmax = draw.uniform(0.5, 1.5, n_blocks).astype(np.float32)
    state = {"quant_type": kind, "blocksize": BLOCK, "dtype": "float32", "shape": [outputs, inputs]}
    parts = {"weight": np.array(packed, np.uint8)[:, None], "weight.quant_map": code, "weight.absmax": absmax}
    if nested:
        places, levels = draw.integers(0, 256, n_blocks), np.linspace(-1, 1, 256).astype(np.float32)
        of_blocks = draw.uniform(0.5, 1, -(-n_blocks // NESTED_BLOCK)).astype(np.float32)
        state |= {"nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32", "nested_offset": 1.25}
        parts |= {
            "weight.absmax": places.astype(np.uint8),
            "weight.nested_absmax": of_blocks,
            "weight.nested_quant_map": levels,
        }
        absmax = np.array([levels[p] * of_blocks[i // NESTED_BLOCK] + np.float32(1.25) for i, p in enumerate(places)])
    parts[f"weight.quant_state.bitsandbytes__{kind}"] = np.array(list(json.dumps(state).encode()), np.uint8)
    values = [code[number] * absmax[at // BLOCK] for at, number in enumerate(numbers)]
    return _tensors(parts), np.array(values, np.float32).reshape(outputs, inputs)


def int8(draw: np.random.Generator, outputs: int, inputs: int) -> Packing:
    """127 stands for the largest value of a row."""
    numbers = draw.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    largest = draw.uniform(0.1, 0.3, outputs).astype(np.float32)
    parts = {"weight": numbers, "SCB": largest, "weight_format": np.array(0, np.uint8)}
    # Its kernels multiply by the rounded inverse.
    return _tensors(parts), numbers.astype(np.float32) * largest[:, None] * np.float32(1 / 127)


def mxfp4(draw: np.random.Generator, experts: int, inputs: int, outputs: int) -> Packing:
    """OCP Microscaling: 32 numbers of sign, two bits of exponent (bias 1), one of fraction, and a power of two.

    The parts of a tensor of experts [E, I, O], which holds numbers along the inputs; the first one of a byte below.
    """
    numbers = draw.integers(0, 16, (experts, outputs, inputs // 32, 32))
    scales = draw.integers(112, 128, (experts, outputs, inputs // 32))
    matrix = np.zeros((experts, inputs, outputs), np.float64)
    for (e, o, g, i), number in np.ndenumerate(numbers):
        exponent, fraction = number >> 1 & 3, number & 1
        size = fraction / 2 if exponent == 0 else (1 + fraction / 2) * 2.0 ** (exponent - 1)
        matrix[e, 32 * g + i, o] = (-1 if number & 8 else 1) * size * 2.0 ** (int(scales[e, o, g]) - 127)
    packed = numbers[..., ::2] + 16 * numbers[..., 1::2]
    parts = {"blocks": packed.astype(np.uint8), "scales": scales.astype(np.uint8)}
    return _tensors(parts), matrix.astype(np.float32)


def _tensors(parts: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in parts.items()}


def _compressed(form: str, kind: str, bits: int) -> dict[str, Any]:
    weights = {"type": kind, "num_bits": bits, "symmetric": True, "strategy": "group", "group_size": GROUP}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": groups}


def _gptq(bits: int, version: int, shuffled: bool) -> tuple[dict[str, Any], Callable[..., Packing]]:
    form = "gptq" if version == 1 else "gptq_v2"
    said = {"quant_method": "gptq", "bits": bits, "group_size": GROUP, "desc_act": shuffled, "checkpoint_format": form}
    return said, lambda *args: gptq(*args, bits=bits, version=version, shuffled=shuffled)


def _four_bits(kind: str, nested: bool) -> tuple[dict[str, Any], Callable[..., Packing]]:
    said = {"load_in_4bit": True, "bnb_4bit_quant_type": kind, "bnb_4bit_use_double_quant": nested}
    said |= {"quant_method": "bitsandbytes", "load_in_8bit": False, "bnb_4bit_quant_storage": "uint8"}
    return said, lambda *args: four_bits(*args, kind=kind, nested=nested)


METHODS: dict[str, tuple[dict[str, Any], Callable[..., Packing]]] = {
    "gptq, 4 bits": _gptq(4, 1, False),
    "gptq, 8 bits, in the order of activations": _gptq(8, 1, True),
    "gptq, 2 bits, second version": _gptq(2, 2, False),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm"}, awq),
    "fp8": ({"quant_method": "fp8", "weight_block_size": [GROUP, GROUP], "activation_scheme": "dynamic"}, fp8),
    "compressed float8": (_compressed("float-quantized", "float", 8), fp8_rows),
    "compressed integers": (_compressed("pack-quantized", "int", 4), integers),
    "nf4": _four_bits("nf4", False),
    "nf4 with packed scales": _four_bits("nf4", True),
    "fp4": _four_bits("fp4", False),
    "int8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, int8),
}
"""The quantization_config of each, and what packs a random matrix."""
