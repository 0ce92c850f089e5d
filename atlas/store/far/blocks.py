"""Blocks of far files, kept on the disk of this machine for the next time: bounded, and of one version each.

A block is a file of its own, in a folder whose name is a hash of the URL and the version of what it is part of.
Nothing depends on them: what is gone, or of another length, is fetched again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import zlib
from contextlib import suppress
from pathlib import Path

from atlas.store.seen import cache_folder

SIZE = 65536
"""Bytes of a block: what DuckDB reads at a time of the files that are made here."""
FIRST = 3 * 4096
"""Bytes of the first block of a file: the headers of a .duckdb file, behind which its own blocks begin."""
MOST_VARIABLE = "NEURON_ATLAS_CACHE_MB"
DEFAULT_MOST_MB = 1024
_SWEPT_AFTER = 256  # new blocks
_VERSION = "version"
_CHECK = 4  # bytes of a CRC-32 before what a block holds


class Blocks:
    """The blocks of all files; any thread, and any process, may use it."""

    def __init__(self, folder: Path | None = None, most: int | None = None) -> None:
        self._folder = folder or cache_folder() / "blocks"
        self._most = most_bytes() if most is None else most
        self._new = _SWEPT_AFTER
        self._guard = threading.Lock()

    def get(self, file: str, number: int) -> bytes | None:
        """A block, or None. `file`: what `key_of` says."""
        path = self._folder / file / str(number)
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        if len(content) < _CHECK or zlib.crc32(content[_CHECK:]).to_bytes(_CHECK, "little") != content[:_CHECK]:
            return None
        return content[_CHECK:]

    def put(self, file: str, number: int, content: bytes) -> None:
        """Keep a block; a disk that is full costs time and nothing else."""
        if self._most < SIZE:
            return
        path = self._folder / file / str(number)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".{number}.{os.getpid()}.{threading.get_ident()}")
            fresh.write_bytes(zlib.crc32(content).to_bytes(_CHECK, "little") + content)
            os.replace(fresh, path)
        with self._guard:
            self._new += 1
            if self._new < _SWEPT_AFTER:
                return
            self._new = 0
        self._sweep()

    def is_same(self, file: str, version: str) -> bool:
        """Whether the place says the same version of a file as when its blocks were kept; they go if it does not."""
        folder = self._folder / file
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / _VERSION
            if not path.exists():
                fresh = folder / f".{os.getpid()}.{threading.get_ident()}"
                fresh.write_text(version, encoding="utf-8")
                os.replace(fresh, path)
            elif path.read_text(encoding="utf-8", errors="replace") != version:
                shutil.rmtree(folder, ignore_errors=True)
                return False
        return True

    def _sweep(self) -> None:
        """Remove the blocks that were not used for longest, until an eighth of the room is free."""
        found = []
        with suppress(OSError):
            for folder in os.scandir(self._folder):
                for entry in os.scandir(folder.path) if folder.is_dir(follow_symlinks=False) else ():
                    with suppress(OSError):
                        state = entry.stat(follow_symlinks=False)
                        found.append((state.st_mtime_ns, state.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        if total <= self._most:
            return
        for _, size, path in sorted(found):
            if total <= self._most * 7 // 8:
                break
            with suppress(OSError):
                os.unlink(path)
                total -= size


def place_of(number: int) -> int:
    """Where a block begins."""
    return FIRST + SIZE * (number - 1) if number else 0


def number_of(place: int) -> int:
    """Which block has the byte at a place."""
    return (place + SIZE - FIRST) // SIZE


def key_of(url: str, version: str) -> str:
    """The folder of the blocks of one version of a file."""
    return hashlib.sha256(f"{url}\n{version} {FIRST}".encode()).hexdigest()[:32]


def most_bytes() -> int:
    """How much may be kept: $NEURON_ATLAS_CACHE_MB, else a gigabyte."""
    text = os.environ.get(MOST_VARIABLE, "")
    return (int(text) if text.isdecimal() else DEFAULT_MOST_MB) * 2**20
