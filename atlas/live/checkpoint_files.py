"""Where a checkpoint's files come from: a folder, or the hub one file at a time."""

from __future__ import annotations

import functools
from pathlib import Path

from transformers.utils.hub import (  # type: ignore[attr-defined]  # it does not say that it hands the second one on
    cached_file,
    try_to_load_from_cache,
)

from atlas.errors import ModelError
from atlas.live.plain_files import plain_file
from atlas.live.shards import Find
from atlas.live.sources import Source


def finder(source: Source) -> tuple[Path, Find]:
    """The folder of the files of `source`, and what finds them by name: each a plain file, or None where there is none.

    Of the hub, one revision is read, that of its config.json; where the hub may not be asked, what its cache on this
    machine has. It raises ModelError for files that are no plain
    ones, and what transformers raises when the hub cannot be reached.
    """
    if source.is_local:
        return Path(source.location), functools.partial(plain_file, Path(source.location))
    if not source.ask_hub:
        # Not cached_file(local_files_only=True), which may ask the network for other things.
        config = try_to_load_from_cache(source.location, "config.json")
        if not isinstance(config, str):
            raise ModelError(
                f"there is no model {source.location} on this machine",
                "A name like this may be that of a file, so the hub was not asked.",
            )
        return Path(config).parent, functools.partial(plain_file, Path(config).parent)
    config = cached_file(source.location, "config.json")
    assert config is not None  # a file that is not there raises
    snapshot = Path(config).parent
    return snapshot, functools.partial(_from_hub, source.location, snapshot)


def _from_hub(repository: str, snapshot: Path, name: str) -> Path | None:
    found = cached_file(
        repository,
        name,
        revision=snapshot.name,
        _raise_exceptions_for_missing_entries=False,
    )
    if found is None:
        return None
    path = Path(found)
    if path.name != name or path.parent != snapshot:
        raise ModelError(f"the hub's cache has no plain file {name[:100]!r} of {repository}", "Clear the cache.")
    return plain_file(snapshot, name)
