"""Far files for a process that may reach nothing: it asks its parent, which reads them, over a pair of sockets.

A question is a line of JSON, [what, arguments]; an answer is a line with its length, or with an error, then the bytes.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable
from typing import Any

from atlas import errors
from atlas.errors import AtlasError, AtlasFileError
from atlas.store.far.files import Files
from atlas.store.far.transport import ReplacedError, Version

_MOST = 2**26
"""Bytes of one answer: a child may ask for what it likes."""


class RelayedFiles:
    """Files, in the child."""

    def __init__(self, url: str, pair: socket.socket) -> None:
        self.url = url
        self.trouble: AtlasError | None = None
        self._pair, self._stream, self._guard = pair, pair.makefile("rb"), threading.Lock()
        self._sizes: dict[str, int] = {}

    def size(self, name: str) -> int:
        """As Files says."""
        if name not in self._sizes:
            self._sizes[name] = int(self._ask("size", name))
        return self._sizes[name]

    def read(self, name: str, start: int, end: int, ahead: bool = False) -> bytes:
        """As Files says."""
        parts = [self._ask("read", name, at, min(at + _MOST, end), ahead) for at in range(start, end, _MOST)]
        return b"".join(parts)

    def whole(self, name: str, most: int) -> bytes:
        """As Files says."""
        return self._ask("whole", name, most)

    def know(self, files: dict[str, Version]) -> None:
        """As Files says; the parent has been told."""
        self._sizes.update({name: version.size for name, version in files.items()})

    def prefetch(self, wanted: Iterable[tuple[str, int, int]]) -> None:
        """Nothing: what is asked for is read."""

    def close(self) -> None:
        """Nothing: it ends with the process."""

    def _ask(self, *question: Any) -> bytes:
        with self._guard:
            self._pair.sendall(json.dumps(question).encode() + b"\n")
            said = self._stream.readline()
            if not said:
                raise AtlasFileError(f"{self.url} is not read any more", "Ask again.")
            answer = json.loads(said)
            if isinstance(answer, int):
                return self._stream.read(answer)
        name, message, hint = answer
        kind = getattr(errors, name, AtlasFileError)
        found: AtlasError = kind(message, hint) if issubclass(kind, AtlasError) else AtlasFileError(message, hint)
        self.trouble = found
        raise found


def relay(pair: socket.socket, files: Files, names: frozenset[str]) -> None:
    """Answer a child until it ends, in a thread of its own: it may read the files of these `names`, and no others."""
    threading.Thread(target=_answer, args=(pair, files, names), name="relay", daemon=True).start()


def _answer(pair: socket.socket, files: Files, names: frozenset[str]) -> None:
    with pair, pair.makefile("rb") as stream:
        try:
            while line := stream.readline(10_000):
                try:
                    content = _read(json.loads(line), files, names)
                    pair.sendall(f"{len(content)}\n".encode() + content)
                except AtlasError as error:
                    kind = type(error).__name__ if hasattr(errors, type(error).__name__) else "AtlasFileError"
                    pair.sendall(json.dumps([kind, error.message, error.hint]).encode() + b"\n")
        except (OSError, ValueError, TypeError, RuntimeError):
            return  # it ended, or asks what no child of ours asks


def _read(question: Any, files: Files, names: frozenset[str]) -> bytes:
    what, name, *rest = question
    if name not in names:
        raise ReplacedError(f"{files.url}/{str(name)[:80]}")  # it has read another manifest
    if what == "size":
        return str(files.size(name)).encode()
    if what == "whole":
        return files.whole(name, min(int(rest[0]), _MOST))
    start, end, ahead = rest
    return files.read(name, int(start), min(int(end), int(start) + _MOST), bool(ahead))
