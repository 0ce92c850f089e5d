"""Files that are far away, read by ranges through blocks: from memory, from the disk, from where they are.

What is asked for in one piece comes in one request, a large piece in several at once; who reads on and on gets more
at a time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from atlas.errors import AtlasError
from atlas.store.far.blocks import SIZE, Blocks, key_of, number_of, place_of
from atlas.store.far.transport import MissingError, ReplacedError, Transport, Version

_IN_MEMORY = 1024  # blocks: 64 MiB
_PIECE = 16  # blocks of one request of several: 1 MiB
_AHEAD = 64  # blocks at most that are read before they are asked for
_AT_ONCE = 6
_READERS = 4  # that each go on where they were


class Files(Protocol):
    """Files below a URL, by name. Any number of threads may read."""

    url: str

    trouble: AtlasError | None
    """Why the last reading failed that did: DuckDB makes a text of what it is told."""

    def size(self, name: str) -> int:
        """Bytes of a file. Raises AtlasFileError."""

    def read(self, name: str, start: int, end: int, ahead: bool = False) -> bytes:
        """Bytes `start` to before `end`, fewer at the end of the file. Raises AtlasFileError.

        `ahead`: whether who reads on may be given more than was asked for.
        """

    def whole(self, name: str, most: int) -> bytes:
        """A file that no manifest describes, at most so many bytes of it; not kept. Raises AtlasFileError."""

    def know(self, files: dict[str, Version]) -> None:
        """What a manifest says of these files: nothing has to be asked to know their size."""

    def prefetch(self, wanted: Iterable[tuple[str, int, int]]) -> None:
        """Bring ranges of several files at the same time. Raises AtlasFileError."""

    def close(self) -> None:
        """Nothing more is read."""


class FarFiles:
    """Files below one URL. `known`: name -> size and version of those that a manifest describes."""

    def __init__(self, url: str, transport: Transport, known: dict[str, Version] | None = None) -> None:
        self.url, self._transport = url, transport
        self._known = known or {}
        self.trouble: AtlasError | None = None
        self.fetched = 0
        """Bytes that came from afar."""
        self._versions: dict[str, Version] = {}
        self._blocks = Blocks()
        self._memory: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        # Where the last requests ended, and how much the next one takes that goes on there.
        self._ends: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._guard = threading.Lock()
        self._coming: dict[tuple[str, int], threading.Event] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, "far")

    def know(self, files: dict[str, Version]) -> None:
        """What a manifest says of these files: nothing has to be asked to know their size."""
        self._known.update(files)

    @property
    def requests(self) -> int:
        """How often something was asked for."""
        return self._transport.requests

    def size(self, name: str) -> int:
        """As Files says."""
        if name in self._known:
            return self._known[name].size
        if name not in self._versions:
            self.read(name, 0, SIZE)
        return self._versions[name].size

    def read(self, name: str, start: int, end: int, ahead: bool = False) -> bytes:
        """As Files says."""
        try:
            return self._read(name, start, end, ahead)
        except AtlasError as error:
            self.trouble = error
            raise

    def whole(self, name: str, most: int) -> bytes:
        """A file that no manifest describes, at most so many bytes of it; not kept. Raises AtlasFileError."""
        content, version = self._transport.fetch(name, 0, most, None)
        self.fetched += len(content)
        self._versions[name] = version
        return content

    def prefetch(self, wanted: Iterable[tuple[str, int, int]]) -> None:
        """Bring ranges of several files at the same time. Raises AtlasFileError."""
        for done in [self._pool.submit(self.read, *each) for each in wanted]:
            done.result()

    def close(self) -> None:
        """Nothing more is fetched."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, name: str, start: int, end: int, ahead: bool) -> bytes:
        if name in self._known or name in self._versions:
            end = min(end, self.size(name))
        if end <= start:
            return b""
        first, last = number_of(start), number_of(end - 1)
        found: dict[int, bytes] = {}
        missing = list(range(first, last + 1))
        while missing := [number for number in missing if not self._from_here(name, number, found)]:
            with self._guard:
                coming = {each: self._coming.get((name, each)) for each in missing}
                mine = [number for number, event in coming.items() if event is None]
                done = threading.Event()
                self._coming.update({(name, number): done for number in mine})
            if not mine:  # another thread is at the same blocks
                for event in filter(None, coming.values()):
                    event.wait()
                continue
            try:
                self._fetch(name, mine[0], mine[-1] + 1, ahead, found)
            finally:
                with self._guard:
                    for number in mine:
                        del self._coming[name, number]
                done.set()
            missing = [number for number in missing if number not in found and number not in mine]
        content = b"".join(found[number] for number in range(first, last + 1) if number in found)
        return content[start - place_of(first) : end - place_of(first)]

    def _from_here(self, name: str, number: int, found: dict[int, bytes]) -> bool:
        with self._guard:
            content = self._memory.get((name, number))
            if content is not None:
                self._memory.move_to_end((name, number))
        if content is None and (key := self._key(name)) is not None:
            content = self._blocks.get(key, number)
            if content is not None and len(content) != min(place_of(number + 1), self.size(name)) - place_of(number):
                content = None
            if content is not None:
                self._remember(name, number, content)
        if content is None:
            return False
        found[number] = content
        return True

    def _fetch(self, name: str, first: int, end: int, ahead: bool, found: dict[int, bytes]) -> None:
        """Bring blocks `first` to before `end`, and more where somebody reads on from where the last request ended."""
        if ahead:
            with self._guard:
                step = min(2 * self._ends.pop((name, first), 0), _AHEAD) or 1
                end = max(end, first + step)
                self._ends[name, end] = step
                if len(self._ends) > _READERS:
                    self._ends.popitem(last=False)
        if name in self._known or name in self._versions:
            end = min(end, number_of(self.size(name) - 1) + 1)
        pieces = [(at, min(at + _PIECE, end)) for at in range(first, end, _PIECE)]
        if len(pieces) > 1 and name in self._versions:
            for done in [self._pool.submit(self._bring, name, *piece, found) for piece in pieces]:
                done.result()
        else:
            self._bring(name, first, end, found)

    def _bring(self, name: str, first: int, end: int, found: dict[int, bytes]) -> None:
        try:
            content, version = self._transport.fetch(name, place_of(first), place_of(end), self._versions.get(name))
        except MissingError:
            if name not in self._known:
                raise
            raise ReplacedError(f"{self.url}/{name}") from None  # a manifest of another publishing names other files
        self.fetched += len(content)
        if name not in self._versions:
            self._require_same(name, version)
        self._versions[name] = version
        key = self._key(name)
        for number in range(first, end):
            block = content[place_of(number) - place_of(first) : place_of(number + 1) - place_of(first)]
            if not block:
                break
            found[number] = block
            self._remember(name, number, block)
            if key is not None:
                self._blocks.put(key, number, block)

    def _require_same(self, name: str, version: Version) -> None:
        """Raise ReplacedError for another file than the manifest describes, or than the kept blocks are of."""
        due, key = self._known.get(name), self._key(name)
        if due is None or key is None:
            return
        if due.size != version.size or (version.mark and not self._blocks.is_same(key, version.mark)):
            raise ReplacedError(f"{self.url}/{name}")

    def _key(self, name: str) -> str | None:
        """The folder of a file's blocks; None where nothing says which version it is."""
        version = self._known.get(name) or self._versions.get(name)
        return key_of(f"{self.url}/{name}", f"{version.size} {version.mark}") if version and version.mark else None

    def _remember(self, name: str, number: int, content: bytes) -> None:
        with self._guard:
            self._memory[name, number] = content
            while len(self._memory) > _IN_MEMORY:
                self._memory.popitem(last=False)
