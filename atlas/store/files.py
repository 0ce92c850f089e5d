"""What can be said of an atlas file before DuckDB opens it, and how its errors read."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import duckdb

from atlas.errors import AtlasError, AtlasFileError, BuildError
from atlas.time_limit import stopped_by_it

DatabaseError = duckdb.Error
"""What is raised where a database does not take rows: for those who write without opening one."""
_REBUILD = "Rebuild it with `neuron-atlas build`."
# How DuckDB words it, and what it raises then; others repeat words of a statement, which may be any.
_DAMAGED = ("checksum", "corrupt", "read enough bytes", "not a valid duckdb", "wal file", "serializ")
_OF_FILES = (duckdb.Error, duckdb.IOException, duckdb.SerializationException)
_REFUSED = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


def nameable(path: Path) -> bool:
    """Whether DuckDB can open a file of this name: the operating system allows any bytes, DuckDB UTF-8 only."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def full_name(path: Path) -> str:
    """The name that means this file to DuckDB: one such as `md:x`, `~x` or `:memory:` would mean another place."""
    return str(path.absolute())


def log_of(path: Path) -> Path:
    """Where DuckDB keeps the log of what was changed in a database: it takes `?` for the end of the path of a URL."""
    before, mark, after = full_name(path).partition("?")
    return Path(f"{before}.wal{mark}{after}")


def require_database(path: Path) -> None:
    """Raise AtlasFileError unless `path` is a readable regular file with DuckDB's magic bytes and no log beside it.

    DuckDB would try to download an extension for a file with a foreign database header, and would report
    a missing file as an input-output error; both deserve a plain sentence. A log it would apply without a word:
    published files have none, so whatever it says was not published.
    """
    if not nameable(path):
        raise AtlasFileError(f"{path} is not UTF-8, and DuckDB opens no such name", "Give the file another name.")
    try:
        if not path.exists():
            raise AtlasFileError(f"there is no atlas at {path}", "Build one: neuron-atlas build MODEL -o FILE.")
        if not path.is_file():
            raise AtlasFileError(f"{path} is not a file", "Name the .duckdb file of an atlas.")
        for log in (log_of(path.resolve()), log_of(path)):
            if os.path.lexists(log):
                raise AtlasFileError(f"beside {path} lies {log.name}, which changes what it says", f"Move {log} away.")
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError as error:
        raise AtlasFileError(f"cannot read {path}: {error.strerror}", "Check the permissions.") from error
    if len(head) < 12 or head[8:12] != b"DUCK":
        raise AtlasFileError(f"{path} is not a neuron atlas (not a DuckDB file)", _REBUILD)


def is_damage(error: duckdb.Error) -> bool:
    """Whether DuckDB says that a file is not as it was written; of a block it says so when a query reads it."""
    return type(error) in _OF_FILES and any(word in str(error).lower() for word in _DAMAGED)


def translate(error: duckdb.Error, path: Path) -> AtlasError:
    """DuckDB's error on opening or reading `path` as one line that says what to do."""
    text = " ".join(str(error).split())
    stopped = stopped_by_it(text)
    if stopped is not None:
        return stopped
    if "Could not set lock" in text or "Conflicting lock" in text:
        return AtlasFileError(f"{path} is locked by another process", "Wait until its writer has ended.")
    if is_damage(error):
        return AtlasFileError(f"{path} is damaged or truncated", _REBUILD)
    if "newer version" in text or "storage version" in text.lower():
        return AtlasFileError(f"{path} was written by a newer DuckDB", "Run: pip install -U duckdb.")
    return AtlasFileError(f"cannot open {path}: {text[:200]}", _REBUILD)


@contextlib.contextmanager
def refused_writes(target: Path) -> Iterator[None]:
    """Turn a full disk, a file-size limit or a read-only folder met while building `target` into a BuildError."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        text = " ".join(str(error).split())
        if getattr(error, "errno", None) not in _REFUSED and not any(os.strerror(code) in text for code in _REFUSED):
            raise
        raise BuildError(
            f"cannot write {target} and the files beside it: {text[:200]}", "Make room, then build again with --resume."
        ) from error


def fsync_path(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
