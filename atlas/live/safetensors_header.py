"""The header of a safetensors file, read and checked without a look at the weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from atlas.json_text import JsonError, read_json
from atlas.live.damaged import Damaged

# Bytes of one element, for every dtype that has whole bytes.
SIZES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 8),
}
_MOST_BYTES = 100_000_000  # safetensors itself refuses longer headers
_MOST_AXES = 8


@dataclass(frozen=True)
class TensorInfo:
    """What a header says of one tensor. `dtype` as safetensors writes it: F32, BF16 ..."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def n_elements(self) -> int:
        """Product of the shape."""
        return prod(self.shape)


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Name -> tensor of a safetensors file. Raises Damaged where header and file disagree, and OSError."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_BYTES):
            raise Damaged(f"{path.name} is cut off or no safetensors file: its header would have {length} bytes")
        text = stream.read(length)
    try:
        entries = read_json(text)
    except JsonError as error:
        raise Damaged(f"the header of {path.name} is {error}") from None
    if not isinstance(entries, dict):
        raise Damaged(f"the header of {path.name} is no JSON object")
    entries.pop("__metadata__", None)
    tensors, spans = {}, []
    for name, entry in entries.items():
        try:
            tensors[name], span = _tensor(entry)
        except (TypeError, KeyError, ValueError) as error:
            raise Damaged(f"the header of {path.name} describes no tensor as {name[:100]!r}: {error}") from None
        spans.append((*span, name))
    _check_spans(path.name, spans, size - 8 - length)
    return tensors


def _tensor(entry: Any) -> tuple[TensorInfo, tuple[int, int]]:
    dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    numbers = [*shape, start, end]
    if dtype not in SIZES:
        raise ValueError(f"its dtype is {str(dtype)[:30]!r}")
    if any(type(number) is not int or not 0 <= number < 2**62 for number in numbers) or len(shape) > _MOST_AXES:
        raise ValueError("its shape or offsets are no sizes")
    info = TensorInfo(dtype, tuple(shape))
    if end - start != info.n_elements * SIZES[dtype]:
        raise ValueError(f"{end - start} bytes are not shape {list(shape)} in {dtype}")
    return info, (start, end)


def _check_spans(file: str, spans: list[tuple[int, int, str]], data_bytes: int) -> None:
    """The tensors lie side by side and fill the file."""
    at = 0
    for start, end, name in sorted(spans):
        if start != at:
            raise Damaged(f"the header of {file} has {name[:100]!r} at byte {start}, where {at} is next")
        at = end
    if at != data_bytes:
        raise Damaged(f"{file} has {data_bytes} bytes of weights and its header describes {at}")
