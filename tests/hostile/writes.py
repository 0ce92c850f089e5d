"""Who writes outside the tests' temporary folder: every file that this process makes, changes or removes is looked at.

What DuckDB and child processes write is seen by `files_of`, which tells whether anything in a tree has changed.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Event of sys.audit -> where in its arguments (path, descriptor of the folder that a relative path is in) stand.
_EVENTS = {
    "os.mkdir": [(0, 2)],
    "os.remove": [(0, 1)],
    "os.rmdir": [(0, 1)],
    "os.rename": [(0, 2), (1, 3)],
    "os.link": [(1, 3)],
    "os.symlink": [(1, 2)],
    "os.truncate": [(0, None)],
    "os.chmod": [(0, 2)],
}
_looks: list[tuple[str, list[str]]] = []  # (folder, what was found), the innermost last


@contextmanager
def writes_outside(folder: Path) -> Iterator[list[str]]:
    """Descriptions of all writes of this process outside `folder` while the block runs."""
    found: list[str] = []
    _looks.append((os.path.realpath(folder), found))
    try:
        yield found
    finally:
        _looks.pop()


def files_of(tree: Path) -> dict[str, tuple[int, int, int]]:
    """Every file, folder and link below `tree`: path -> (inode, size, time of change); folders without the last two.

    What tools keep there while the tests run (.git, .pytest_cache, the environment, compiled modules) is left out.
    """
    found = {}
    for folder, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            state = os.lstat(path)
            whole = not stat.S_ISDIR(state.st_mode)
            found[path] = (state.st_ino, whole * state.st_size, whole * state.st_mtime_ns)
    return found


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if not _looks:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITING:
            _note(event, path, None)
    for at, folder in _EVENTS.get(event, ()):
        _note(event, arguments[at], None if folder is None else arguments[folder])


def _note(event: str, path: Any, folder: Any) -> None:
    if not isinstance(path, str | bytes | os.PathLike):
        return  # a descriptor, which something else has opened
    path = os.fsdecode(path)
    if isinstance(folder, int) and folder >= 0:
        path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    if "\0" in path:
        return  # the operating system takes none
    # The folder's links are followed, and the file's own where it is opened through them.
    place = os.path.realpath(path) if event == "open" else os.path.join(os.path.realpath(os.path.dirname(path)), "")
    try:
        if event == "open" and not stat.S_ISREG(os.stat(place).st_mode):
            return  # a device, a FIFO or a folder: nothing is kept there
    except OSError:
        pass
    allowed, found = _looks[-1]
    if not place.startswith(f"{allowed}/"):
        found.append(f"{event} {path!r}")


sys.addaudithook(_look)
