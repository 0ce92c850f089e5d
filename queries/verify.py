"""Whether an atlas is whole: what `neuron-atlas verify` prints."""

from __future__ import annotations

from pathlib import Path

from atlas.answers.result import Result
from atlas.place import FarPath, place_of
from atlas.store.verify import BROKEN, UNKNOWN
from atlas.store.verify import verify as checks


def verify(path: str | Path) -> Result:
    """One row a check of the atlas at `path` and of the evaluations beside it: ok, broken, or unknown.

    Of a published folder, here or at a URL: whether its files are those of its manifest.

    Unknown is what the file does not say: an atlas that was written before there were digests has none. Raises
    AtlasFileError where there is no atlas to check, UsageError for a .duckdb file at a URL.
    """
    path = place_of(path)
    if isinstance(path, FarPath):
        from atlas.store.far.verify import verify_folder  # only for these

        result = Result(["check", "result", "detail"], list(verify_folder(path)))
    else:
        result = Result(["check", "result", "detail"], list(checks(path)))
    broken = result.column("result").count(BROKEN)
    unknown = result.column("result").count(UNKNOWN)
    result.notes.append(f"{len(result)} checks of {path}: {broken} broken, {unknown} unknown")
    return result


def broken_check(result: Result) -> str | None:
    """The first check that is broken, with its detail; None when none is."""
    for check, outcome, detail in result.rows:
        if outcome == BROKEN:
            return f"{check} ({detail})" if detail else check
    return None
