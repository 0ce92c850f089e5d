"""Whether the blocks of a database file lie where they were written: DuckDB's own checksums do not say so.

A block begins with a checksum of what it holds, which DuckDB looks at whenever it reads the block: so it is whole, but
it may be another one. The seal binds the checksums to their places. It is the last 32 bytes of a file, behind the
blocks, where DuckDB looks at nothing, and holds (little-endian) the mark, the size of a block, the number of the state
of the database (`_state`), and the CRC-32 of the headers and of the checksums of all blocks in turn.

It finds damage, not forgery. Who writes to the file with DuckDB makes another state of it, of which the seal says
nothing; the same holds for a file that never had one.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from atlas.errors import AtlasFileError

CHEAP_BYTES = 4 * 2**30
"""Up to this size a seal is compared whenever a file is opened; of a larger one it takes longer than a question."""
_MARK = b"neuron-atlas 01\n"
_SEAL = struct.Struct("<16sIQI")
_HEADER, _HEADERS = 4096, 3
_CHECKSUM = 8
_BLOCK_SIZES = range(2**14, 2**18 + 1)  # those that DuckDB knows


def put_seal(path: Path, block_size: int) -> None:
    """Seal a finished database file whose blocks have `block_size` bytes; an earlier seal is removed."""
    remove_seal(path)
    with open(path, "r+b") as file:
        found = _crc32(file.fileno(), os.fstat(file.fileno()).st_size, block_size)
        state = _state(file.fileno())
        file.seek(0, os.SEEK_END)
        file.write(_SEAL.pack(_MARK, block_size, state, found))


def remove_seal(path: Path) -> None:
    """Cut off the seal, which a database that grows would overwrite, or keep without growing."""
    with open(path, "r+b") as file:
        end = os.fstat(file.fileno()).st_size - _SEAL.size
        if _read_seal(file.fileno(), end) is not None:
            file.truncate(end)


def seal_holds(path: Path, most_bytes: int | None = None) -> bool | None:
    """Whether every block lies where it was written; None where no seal says so, or the file exceeds `most_bytes`.

    False also without a seal where the file does not end with a block. Raises OSError.
    """
    with open(path, "rb") as file:
        handle = file.fileno()
        end = os.fstat(handle).st_size - _SEAL.size
        seal = _read_seal(handle, end)
        if seal is None and (end + _SEAL.size - _HEADERS * _HEADER) % _BLOCK_SIZES.start:
            return False  # cut off within a block or the seal, or something was appended
        if seal is None or (most_bytes is not None and end > most_bytes):
            return None
        block_size, state, due = seal
        if _state(handle) > state:  # DuckDB wrote to it since
            return None
        return block_size in _BLOCK_SIZES and _crc32(handle, end, block_size) == due


def require_seal(path: Path) -> None:
    """Raise AtlasFileError for a file whose blocks were moved, as far as that is cheap to see; OSError."""
    if seal_holds(path, CHEAP_BYTES) is False:
        raise AtlasFileError(
            f"{path} is damaged or truncated: its blocks do not lie where they were written",
            "Rebuild it with `neuron-atlas build`, or fetch it again.",
        )


def _read_seal(handle: int, end: int) -> tuple[int, int, int] | None:
    if end < _HEADERS * _HEADER:
        return None
    mark, *values = _SEAL.unpack(os.pread(handle, _SEAL.size, end))
    return tuple(values) if mark == _MARK else None


def _state(handle: int) -> int:
    """The number that DuckDB raises with every checkpoint: the larger one of the second and the third header."""
    raised: list[int] = [struct.unpack("<Q", os.pread(handle, 8, number * _HEADER + _CHECKSUM))[0] for number in (1, 2)]
    return max(raised)


def _crc32(handle: int, end: int, block_size: int) -> int:
    headers = os.pread(handle, _HEADERS * _HEADER, 0)
    checksums = (os.pread(handle, _CHECKSUM, place) for place in range(_HEADERS * _HEADER, end, block_size))
    return zlib.crc32(b"".join(checksums), zlib.crc32(headers))
