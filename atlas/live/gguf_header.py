"""What a GGUF file says of itself, read and checked before a library parses it.

That library makes Python objects of every entry, some 700 bytes and 20 microseconds each, and transformers drops
without a word what it has no place for. So the header is read here first, in plain steps that no count can prolong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from atlas.live.damaged import Damaged

_MOST_FIELDS, _MOST_TENSORS = 1_000, 100_000
_MOST_ENTRIES = 1_500_000
"""Of all arrays together: a vocabulary of 262,144 tokens has its pieces, scores, kinds and perhaps merges."""
_MOST_OTHER_ENTRIES = 10_000
"""Of an array that is no part of the tokenizer."""
_LONGEST_NAME, _LONGEST_PIECE, _LONGEST_TEXT = 200, 2_000, 1 << 20
_MOST_SQUARES = 1 << 30
"""Sum over the pieces of length²: what it costs to find the merges that make them."""
_MOST_AXES = 4
_DEFAULT_ALIGNMENT = 32

_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TOKENIZER = "tokenizer.ggml."


@dataclass(frozen=True)
class GgufHeader:
    """`fields`: name -> value, without the arrays of the tokenizer. `tensors`: names. `n_bytes`: of the whole file."""

    fields: dict[str, Any]
    tensors: list[str]
    n_bytes: int

    @property
    def n_tensors(self) -> int:
        """How many the file describes."""
        return len(self.tensors)


def read_gguf_header(path: Path) -> GgufHeader:
    """The header of a GGUF file. Raises Damaged where it is wrong or asks for too much, and OSError."""
    n_bytes = path.stat().st_size
    with path.open("rb") as stream:
        reader = _Reader(stream, path.name, n_bytes)
        if reader.take(4) != b"GGUF":
            raise Damaged(f"{path.name} is no GGUF file")
        version, n_tensors, n_fields = reader.number("I"), reader.number("Q"), reader.number("Q")
        if version not in (2, 3):
            raise Damaged(f"{path.name} is of GGUF version {version}, and 2 and 3 are known")
        if n_fields > _MOST_FIELDS or n_tensors > _MOST_TENSORS:
            raise Damaged(f"{path.name} would describe {n_fields} fields and {n_tensors} tensors")
        fields: dict[str, Any] = {}
        for _ in range(n_fields):
            name = reader.text(_LONGEST_NAME)
            if name in fields:
                raise Damaged(f"{path.name} has the field {name!r} twice")
            fields[name] = reader.value(name)
        spans = [reader.tensor() for _ in range(n_tensors)]
        alignment = fields.get("general.alignment", _DEFAULT_ALIGNMENT)
        if type(alignment) is not int or not 0 < alignment <= 1 << 20:
            raise Damaged(f"{path.name} has an alignment of {str(alignment)[:30]}")
        start = -(-stream.tell() // alignment) * alignment
    _check_spans(path.name, spans, n_bytes - start)
    return GgufHeader(fields, [name for _, _, name in spans], n_bytes)


class _Reader:
    """Steps through a header; every step checks that the file goes on."""

    def __init__(self, stream: BinaryIO, name: str, n_bytes: int) -> None:
        self._stream, self._name, self._n_bytes = stream, name, n_bytes
        self._entries = self._squares = 0

    def take(self, size: int) -> bytes:
        found = self._stream.read(size) if size <= self._n_bytes else b""
        if len(found) < size:
            raise Damaged(f"{self._name} is cut off")
        return found

    def number(self, kind: str) -> Any:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]

    def text(self, most: int) -> str:
        length = self.number("Q")
        if length > most:
            raise Damaged(f"{self._name} has a text of {length} bytes where {most} are taken")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise Damaged(f"{self._name} has a text that is not UTF-8") from None

    def value(self, name: str) -> Any:
        """The value of the field `name`; None for an array of the tokenizer, which is only checked."""
        kind = self.number("I")
        if kind == _STRING:
            return self.text(_LONGEST_TEXT)
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind != _ARRAY:
            raise Damaged(f"{self._name} has a field {name!r} of unknown type {kind}")
        inner, length = self.number("I"), self.number("Q")
        self._entries += length
        own = name.startswith(_TOKENIZER)
        if length > (_MOST_ENTRIES if own else _MOST_OTHER_ENTRIES) or self._entries > _MOST_ENTRIES:
            raise Damaged(f"{self._name} has {length} values in {name!r}")
        if inner in _NUMBERS:
            code = f"<{length}{_NUMBERS[inner]}"
            content = self.take(struct.calcsize(code))
            return None if own else list(struct.unpack(code, content))
        if inner != _STRING:
            raise Damaged(f"{self._name} has an array {name!r} of type {inner}")
        texts = [None if own else text for text in self._pieces(length)]
        return None if own else texts

    def _pieces(self, length: int) -> Iterator[str]:
        for _ in range(length):
            text = self.text(_LONGEST_PIECE)
            self._squares += len(text) ** 2
            if self._squares > _MOST_SQUARES:
                raise Damaged(f"the pieces of {self._name} are longer than any tokenizer's")
            yield text

    def tensor(self) -> tuple[int, int, str]:
        """(first byte, byte after the last one, name) of the next tensor, counted from where the weights begin."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        name = self.text(_LONGEST_NAME)
        n_axes = self.number("I")
        if n_axes > _MOST_AXES:
            raise Damaged(f"{self._name} gives {name!r} {n_axes} axes")
        shape = [self.number("Q") for _ in range(n_axes)]
        kind, start = self.number("I"), self.number("Q")
        try:
            per_block, n_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        except (ValueError, KeyError):
            raise Damaged(f"{self._name} has {name!r} in the unknown type {kind}") from None
        return start, start + prod(shape) // per_block * n_bytes, name


def _check_spans(file: str, spans: list[tuple[int, int, str]], n_bytes: int) -> None:
    """Every tensor has its own name and bytes within the file."""
    if len({name for _, _, name in spans}) < len(spans):
        raise Damaged(f"{file} has two tensors of one name")
    at = 0
    for start, end, name in sorted(spans):
        if start < at:
            raise Damaged(f"{file} has {name!r} where another tensor is")
        if end > n_bytes:
            raise Damaged(f"{file} is cut off: {name!r} would end {end - n_bytes} bytes behind it")
        at = end
