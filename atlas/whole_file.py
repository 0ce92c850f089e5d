"""Writing what a user named: a file as a whole or not at all, and never over what must not be lost.

A regular file is written under another name in its folder and renamed, so that nobody reads half of it. A symbolic
link stays a link: what it points to is written. What is no regular file (a device, a FIFO, an open descriptor such
as /dev/stdout or /dev/fd/63 of a process substitution) is written through, as a shell would.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from atlas.errors import AtlasError, UsageError
from atlas.interrupt import undone

_DATABASE = b"DUCK"  # at byte 8 of every DuckDB file
_DESCRIPTORS = re.compile(r"/proc/\d+(/task/\d+)?/fd")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(content: bytes, path: Path, *, inputs: Iterable[str | Path] = ()) -> None:
    """Write `content` to `path`. Raises UsageError as `whole_file`."""
    with whole_file(path, inputs=inputs) as stream:
        stream.write(content)


@contextmanager
def whole_file(path: Path, *, inputs: Iterable[str | Path] = ()) -> Iterator[BinaryIO]:
    """A binary stream whose content is at `path` when the block has ended, and only if it ended well.

    Raises UsageError, in one line, when the place cannot be written, and as `require_output` when it must not be.
    Whoever reads a pipe may leave early: then BrokenPipeError, as for stdout.
    """
    require_output(path, inputs=inputs)
    with writing_to(path):
        if not replaceable(path):
            with _through(path) as stream:
                yield stream
            return
        place = real_place(path)
        temporary = beside(place)
        try:
            with undone(lambda: temporary.unlink(missing_ok=True)):
                with open(temporary, "xb") as stream:
                    yield stream
                    stream.flush()
                    os.fsync(stream.fileno())
                _move(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)


def put_file(source: Path, path: Path) -> None:
    """Give the finished file `source`, which lies in the folder of `real_place(path)`, the name `path`.

    What is no regular file gets its bytes instead. Raises UsageError as `whole_file`.
    """
    with writing_to(path):
        if replaceable(path):
            _move(source, real_place(path))
            return
        with open(source, "rb") as reading, _through(path) as stream:
            shutil.copyfileobj(reading, stream)


def require_output(path: Path, *, inputs: Iterable[str | Path] = ()) -> None:
    """Raise UsageError for an output that is one of `inputs`, a database, a folder, or cannot be written.

    An input may be a folder, such as a model's: then no file in it may be replaced either.

    For the start of long work; `whole_file` asks again. An answer never is a database, so it replaces none: not the
    atlas that it was read from, not its evaluations, and no other.
    """
    with writing_to(path):
        place = real_place(path)
        if place.is_dir():
            raise UsageError(f"{path} is a folder", "Name the file to write.")
        inputs = list(inputs)
        if is_one_of(path, inputs):
            raise UsageError(f"{path} is what is read here", "Name another file to write.")
        if place.exists() and is_one_of(place.parent, inputs):
            raise UsageError(f"{path} is in the folder that is read here", "Name another file to write.")
        if is_database(path):
            raise UsageError(f"{path} is a database, such as an atlas", "Name another file to write.")
        if not replaceable(path):
            return
        if not place.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if place.exists() and not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if place.suffix == ".wal" and is_database(place.with_suffix("")):
            raise UsageError(f"{path} would be taken for the log of {place.stem}", "Name another file to write.")


def require_apart(output: Path | None, other: Path | None, option: str = "--plot") -> None:
    """Raise UsageError where an answer and what `option` writes would go to one file, so that one would be lost."""
    if output is not None and other is not None and replaceable(output) and is_one_of(output, [other]):
        raise UsageError(f"-o and {option} both name {output}", "Name two files.")


def real_place(path: Path) -> Path:
    """Where a file of this name is or would be, at the end of all links. Raises OSError, ValueError (NUL)."""
    try:
        os.stat(path)  # a circle of links has no end, which realpath does not say
    except FileNotFoundError:
        pass
    return Path(os.path.realpath(path))


def replaceable(path: Path) -> bool:
    """Whether `path` names a regular file, or nothing yet: what a rename may replace."""
    try:
        return _of_descriptor(path) is None and stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True


def is_database(path: Path) -> bool:
    """Whether `path` is a regular file with the mark of DuckDB."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a FIFO would wait for its other end
            return False
        with open(path, "rb") as stream:
            return stream.read(12)[8:] == _DATABASE
    except OSError:
        return False


def is_one_of(path: Path, inputs: Iterable[str | Path]) -> bool:
    """Whether `path` is one of these files by whatever name, or has the name of one that is not there."""
    return any(_same(path, Path(other)) for other in inputs)


def beside(place: Path) -> Path:
    """A free name in the folder of `place`, short whatever its own is, and hidden."""
    return place.with_name(f".neuron-atlas-{os.urandom(6).hex()}")


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """What the operating system refuses while `path` is written, as UsageError in one line."""
    try:
        yield
    except (BrokenPipeError, AtlasError):
        raise
    except Exception as error:
        why, hint = no_room(error), "Make room, or name another place."
        if why is None and isinstance(error, OSError):
            why, hint = error.strerror or str(error), "Name a file in a folder you own."
        elif (
            why is None and isinstance(error, ValueError) and "embedded null" in str(error)
        ):  # open() and stat() say so
            why, hint = "a name cannot hold NUL", "Name another file."
        if why is None:
            raise
        raise UsageError(f"cannot write {path}: {why}", hint) from error


def no_room(error: Exception) -> str | None:
    """What the operating system says of a full disk or a limit, if `error` says so: libraries word it differently."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return os.strerror(error.errno)
    return next((os.strerror(code) for code in _FULL if os.strerror(code) in str(error)), None)


def _same(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)


def _move(source: Path, place: Path) -> None:
    """Rename; the permissions are those of the file that was there."""
    if place.exists():
        shutil.copymode(place, source)
    os.replace(source, place)


@contextmanager
def _through(path: Path) -> Iterator[BinaryIO]:
    """What is no regular file, open for writing at its end."""
    link = _of_descriptor(path)
    if link is not None and os.path.dirname(link) in _own_descriptors():
        # The descriptor itself: opened by name, a redirected stdout would be written from its beginning.
        handle = os.dup(int(os.path.basename(link)))
    else:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)
    with os.fdopen(handle, "wb") as stream:
        yield stream


def _of_descriptor(path: Path) -> str | None:
    """The real name of an open descriptor, of this process or another, that `path` names (/dev/stdout), or None."""
    for _ in range(40):  # as many links as Linux follows
        folder, name = os.path.realpath(os.path.dirname(path)), os.path.basename(path)
        if name.isdecimal() and (_DESCRIPTORS.fullmatch(folder) or folder in _own_descriptors()):
            return os.path.join(folder, name)
        if not os.path.islink(path):
            return None
        path = Path(os.path.dirname(path)) / os.readlink(path)
    return None


def _own_descriptors() -> set[str]:
    """The folders of the descriptors of this process; those of its threads are the same ones."""
    return {os.path.realpath(folder) for folder in ("/dev/fd", "/proc/self/fd", "/proc/thread-self/fd")}
