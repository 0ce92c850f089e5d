"""The lines of a text file, one at a time: UTF-8 with or without a byte order mark, and nothing that is not text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from atlas.errors import CorpusError
from builders.corpora.limits import MAX_LINE

_CHUNK = 1 << 20
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def lines(path: Path, newline: str) -> Iterator[str]:
    r"""Each line with its end. `newline` as for `open`: "\n", or "" where \r ends a line too.

    Raises CorpusError, naming the line, for bytes that are not UTF-8, a NUL, or a line over MAX_LINE characters.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise CorpusError(f"{path} line {number}: longer than {MAX_LINE} characters", "Cut that text.")
                if "\0" in line:
                    raise CorpusError(
                        f"{path} line {number}: a NUL character", "The file is binary or UTF-16; save it as UTF-8."
                    )
                yield line
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise CorpusError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _not_utf8(path: Path) -> CorpusError:
    """The error for a file that is not UTF-8, with the line. A second reading: the first is ahead of its lines."""
    line, decoder = 1, codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        start = file.read(8)
        packed = next((name for magic, name in _PACKED.items() if start.startswith(magic)), None)
        if packed is not None:
            return CorpusError(f"{path} line 1: not text but packed by {packed}", "Unpack it first.")
        file.seek(0)
        while True:
            chunk = file.read(_CHUNK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                # What the decoder kept of the chunk before is counted there, and holds no line end.
                line += error.object.count(b"\n", 0, error.start)
                return CorpusError(f"{path} line {line}: not UTF-8", "Save the file as UTF-8.")
            line += chunk.count(b"\n")
            if not chunk:
                return CorpusError(f"{path}: not UTF-8", "Save the file as UTF-8.")
