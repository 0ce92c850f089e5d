"""Whose fault it is that a question failed: the rows of an atlas are input, and a damaged file may hold anything."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable
from pathlib import Path

import duckdb

from atlas.errors import AtlasError, AtlasFileError

_SECONDS = 8.0  # for all the files of a question: nobody waits longer for an error


def is_unexpected(error: Exception) -> bool:
    """Whether a question over a sound file never fails like this: anything but an AtlasError that it meant."""
    if isinstance(error, AtlasError):
        # Our own statements are right: that DuckDB rejects one is for the rows to explain.
        return isinstance(error.__cause__, duckdb.Error) and not isinstance(error, AtlasFileError)
    return str(error) != "Query interrupted"  # DuckDB's word for Ctrl-C


def damage(paths: Iterable[Path], seconds: float | None = _SECONDS) -> AtlasFileError | None:
    """What is wrong with the first file that is damaged; None when all are sound, as far as `seconds` reach.

    `seconds` None: to the end of all checks.
    """
    paths = list(dict.fromkeys(paths))
    for path in paths:
        found = _damage_of(path, _identity(path), seconds and seconds / len(paths))
        if found is not None:
            return AtlasFileError(*found)
    return None


@functools.lru_cache(32)
def _damage_of(path: Path, identity: object, seconds: float | None) -> tuple[str, str] | None:
    """Message and hint. Kept while the file is the same: a session may ask a damaged one again and again."""
    from atlas.store.verify import BROKEN, verify  # it brings numpy

    try:
        for check in verify(path, seconds):
            if check.result == BROKEN:
                found = f"{check.name} ({check.detail})" if check.detail else check.name
                return f"{path} is damaged: {found}", "See `neuron-atlas verify`, and rebuild it or fetch it again."
    except AtlasFileError as error:
        return error.message, error.hint
    return None


def _identity(path: Path) -> tuple[tuple[int, ...], ...]:
    """What is another one when another file, or other evaluations, stand there."""
    from atlas.store.evaluations import sidecar_of  # only where something went wrong

    found = []
    for file in (path, sidecar_of(path)):
        with contextlib.suppress(OSError):
            state = file.stat()
            found.append((state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(found)
