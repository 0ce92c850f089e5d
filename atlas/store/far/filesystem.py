"""What DuckDB reads far files through: a filesystem under a name of our own, which has our files and only reads.

DuckDB insists on an extension for http://, s3:// and hf://; for a name that it does not know it asks Python.
"""

from __future__ import annotations

import datetime as dt
import io
import threading
from typing import TYPE_CHECKING, Any

import duckdb

from atlas.store.far.files import Files

if TYPE_CHECKING:

    class AbstractFileSystem:
        """That of fsspec, which has no types."""

        def __init__(self) -> None: ...

else:
    from fsspec.spec import AbstractFileSystem

PROTOCOL = "atlas-far"
_NO_TIME = dt.datetime(2000, 1, 1)  # files do not change: another one is refused when it is read


def place(name: str) -> str:
    """What DuckDB calls a file."""
    return f"{PROTOCOL}://{name}"


def register(connection: duckdb.DuckDBPyConnection, files: Files, names: frozenset[str] | None) -> None:
    """Let a connection, and those made from it, read the files of these `names`; None: the one file there is."""
    connection.register_filesystem(_FileSystem(files, names))


class _FileSystem(AbstractFileSystem):
    protocol = PROTOCOL
    cachable = False

    def __init__(self, files: Files, names: frozenset[str] | None) -> None:
        super().__init__()
        self._far, self._names = files, names

    def open(self, path: str, mode: str = "rb", **options: Any) -> Opened:
        """A file to be read, whatever `mode` says of more."""
        name = self._name(path)
        if mode != "rb" or name is None:
            raise PermissionError("an atlas is only read")
        return Opened(self._far, name)

    def exists(self, path: str, **options: Any) -> bool:
        """Whether it is one of the files; nothing is asked of the place."""
        return self._name(path) is not None

    isfile = exists

    def isdir(self, path: str) -> bool:
        """There are no folders."""
        return False

    def glob(self, path: str, **options: Any) -> list[str]:
        """A name stands for itself: there are no patterns."""
        return [path] if self.exists(path) else []

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Its size."""
        name = self._name(path)
        if name is None:
            raise FileNotFoundError(path)
        return {"name": path, "size": self._far.size(name), "type": "file"}

    def modified(self, path: str) -> dt.datetime:
        """Always the same."""
        return _NO_TIME

    def _name(self, path: str) -> str | None:
        name = path.removeprefix(f"{PROTOCOL}://")
        if self._names is None:
            return "" if name == "atlas" else None
        return name if name in self._names else None


class Opened(io.RawIOBase):
    """A file that each thread reads at a place of its own.

    All threads of DuckDB share one of them, and to read somewhere it seeks, lets other threads run, and reads. Places
    are kept by the threads' numbers: what Python itself keeps of such a thread (threading.local) goes between the two.
    """

    def __init__(self, files: Files, name: str) -> None:
        self._files, self._far_name = files, name
        self._places: dict[int, int] = {}
        self.size = files.size(name)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._places.get(threading.get_ident(), 0)

    def seek(self, offset: int, whence: int = 0) -> int:
        place = offset + (0, self.tell(), self.size)[whence]
        self._places[threading.get_ident()] = place
        return place

    def read(self, size: int = -1) -> bytes:
        at = self.tell()
        end = self.size if size < 0 else min(at + size, self.size)
        content = self._files.read(self._far_name, at, end, ahead=True)
        self._places[threading.get_ident()] = at + len(content)
        return content
