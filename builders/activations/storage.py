"""Where workers that share no disk leave activations for each other: a folder that fsspec reaches.

A file is put there whole by one process and brought to the disk of any other that reads its place. A build has a folder
of its own there, which is known when the build is resumed and goes when nothing of it is needed any more.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import BuildError, UsageError
from atlas.files_of_url import failing_as, filesystem_of
from atlas.place import is_url

if TYPE_CHECKING:
    from atlas.store.staging import Staging

_STATE = "blocks"
"""Of the staging area: the folder of the build."""


@dataclass(frozen=True)
class Storage:
    """`url`: the folder of one build. Every method raises BuildError where the place says no, in one line."""

    url: str

    @cached_property
    def _place(self) -> tuple[Any, str]:
        return filesystem_of(self.url)

    def put(self, folder: Path, name: str) -> None:
        """Copy every file of `folder` into the folder `name`."""
        files, root = self._place
        names = sorted(each.name for each in folder.iterdir())
        with self._said("write to"):
            files.makedirs(f"{root}/{name}", exist_ok=True)
            files.put([str(folder / each) for each in names], [f"{root}/{name}/{each}" for each in names])

    def bring(self, wanted: dict[str, Path]) -> None:
        """Copy files, by name, to where they are wanted on this disk."""
        files, root = self._place
        for path in wanted.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._said("read from"):
            files.get([f"{root}/{name}" for name in wanted], [str(path) for path in wanted.values()])

    def remove(self, name: str = "") -> None:
        """The folder `name`, or all, if it is there."""
        files, root = self._place
        place = f"{root}/{name}".rstrip("/")
        with self._said("delete from"), contextlib.suppress(FileNotFoundError):
            files.rm(place, recursive=True)

    @contextlib.contextmanager
    def _said(self, what: str) -> Iterator[None]:
        with failing_as(f"cannot {what} {self.url}", "What was made is kept: --resume goes on."):
            try:
                yield
            except FileNotFoundError as error:
                raise BuildError(f"{error.filename or error} of this build is gone", "Use --restart.") from error


def check_blocks(said: str | None, *, workers: bool) -> str | None:
    """What --blocks means, as a URL. Raises UsageError for a place that is none, and where nobody would use it."""
    if said is None:
        return None
    if not workers:
        raise UsageError("--blocks is where workers leave activations, and there are none", "Add --workers.")
    if not is_url(said):
        if not Path(said).is_dir():
            raise UsageError(f"there is no folder {said} for blocks", "Make it first, or name s3://BUCKET/FOLDER.")
        return f"file://{os.path.abspath(said)}"
    if said.startswith(("http://", "https://", "hf://")):
        raise UsageError(f"no blocks are left at {said}", "Name a folder that all workers see, or s3://BUCKET/FOLDER.")
    filesystem_of(said)  # whether its package is there
    return said.rstrip("/")


def storage_of(said: str | None, families: Sequence[str], staging: Staging) -> Storage | None:
    """Where this build keeps its blocks: as it was begun, or at the URL `said` if none has been made yet.

    Raises UsageError where it was begun elsewhere.
    """
    begun = staging.read_state(_STATE)
    if begun is not None:
        if said is not None and begun.rpartition("/")[0] != said:
            raise UsageError(f"the blocks of this build are at {begun}", "Leave --blocks out, or use --restart.")
        return Storage(begun)
    if said is None:
        return None
    if any(staging.read_state(f"blocks/{family}") is not None for family in families):
        raise UsageError("the blocks of this build are beside it", "Leave --blocks out, or use --restart.")
    url = f"{said}/neuron-atlas-{uuid.uuid4().hex[:12]}"
    staging.write_state(_STATE, url)
    return Storage(url)
