"""An atlas that a server shows: the open file, its name in addresses, and whether another took its place."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from atlas.errors import AtlasError
from atlas.store.reader import Atlas, open_atlas
from queries.search import Embed
from queries.session.session import Session
from queries.session.vectors import embedder_of

TIMEOUT_S = 20.0
"""After so long a question to an atlas is given up."""
LEAST_DATABASE_MEMORY = 96 * 2**20
"""Bytes that DuckDB takes of each atlas at most, unless 3/8 of what questions may keep is more: what it keeps of the
file gives way to the questions that run. The pages of a model of 8 billion parameters need no more."""


class _Open:
    """An open atlas, and how many questions are being asked of it."""

    def __init__(self, path: Path, memory: int) -> None:
        self.mark = _mark(path)
        self.atlas = open_atlas(path, TIMEOUT_S, max(LEAST_DATABASE_MEMORY, memory * 3 // 8))
        Session(self.atlas, memory)
        self.asked = 0
        self.leaving = False


class Served:
    """One atlas of a server. Questions go to the file that was opened, until somebody asks for the newer one."""

    def __init__(self, path: Path, name: str, memory: int) -> None:
        """Opens it. Raises as `open_atlas`."""
        self.path, self.name, self._memory = path, name, memory
        self._guard = threading.Lock()
        self._open = _Open(path, memory)
        self.embed: Embed | None = None
        """Turns the words of a search into a vector as the atlas was embedded, where that can be done here."""

    @property
    def embedder(self) -> str | None:
        """Who embedded the descriptions of the atlas; None: nothing is embedded."""
        with self.atlas() as atlas:
            return embedder_of(atlas)

    @contextmanager
    def atlas(self) -> Iterator[Atlas]:
        """The open atlas, which stays open to the end of the block though it may be replaced meanwhile."""
        with self._guard:
            found = self._open
            found.asked += 1
        try:
            yield found.atlas
        finally:
            with self._guard:
                found.asked -= 1
                last = found.leaving and found.asked == 0
            if last:
                found.atlas.close()

    @property
    def newer(self) -> bool:
        """Whether the path leads to another file than the one that is open."""
        return _mark(self.path) not in (None, self._open.mark)

    def reopen(self) -> None:
        """Open what the path leads to now. Raises as `open_atlas`, and goes on with the old one then."""
        fresh = _Open(self.path, self._memory)
        with self._guard:
            old, self._open = self._open, fresh
            old.leaving = True
            idle = old.asked == 0
        if idle:
            old.atlas.close()

    def close(self) -> None:
        """Close the file, once nobody asks any more."""
        with self._guard:
            self._open.leaving = True
            idle = self._open.asked == 0
        if idle:
            self._open.atlas.close()


def open_all(paths: Iterable[Path], memory: int) -> list[Served]:
    """Open atlases for a server, under names that differ. Raises as `open_atlas`; those opened before are closed."""
    served: list[Served] = []
    try:
        for path in paths:
            served.append(Served(path, _name(path, {each.name for each in served}), memory))
    except AtlasError:
        for each in served:
            each.close()
        raise
    return served


def _name(path: Path, taken: set[str]) -> str:
    """What stands for the file in addresses: its stem in letters that need no quoting, numbered if it is taken."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip(".-") or "atlas"
    stem = f"{stem}-atlas" if stem in RESERVED else stem
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name


RESERVED = frozenset({"static", "favicon.ico", "robots.txt"})


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from another at the same path; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns
