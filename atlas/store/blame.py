"""Whose fault it is that a question failed: the rows of an atlas are input, and a damaged file may hold anything."""

from __future__ import annotations

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


def damage(paths: Iterable[Path], seconds: float = _SECONDS) -> AtlasFileError | None:
    """What is wrong with the first file that is damaged; None when all are sound, as far as `seconds` reach."""
    from atlas.store.verify import BROKEN, verify  # it brings numpy

    paths = list(dict.fromkeys(paths))
    for path in paths:
        try:
            for check in verify(path, seconds / len(paths)):
                if check.result == BROKEN:
                    found = f"{check.name} ({check.detail})" if check.detail else check.name
                    return AtlasFileError(
                        f"{path} is damaged: {found}", "See `neuron-atlas verify`, and rebuild it or fetch it again."
                    )
        except AtlasFileError as error:
            return error
    return None
