"""What lies in the build area of an atlas: nothing else is written over, and nothing else goes when it is removed.

The folder has a name that follows from the atlas', so somebody may have made one of that name before us.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from atlas.errors import BuildError

LOCK = "lock"
_NAMES = frozenset({LOCK, "scratch", "waiting", "spill"})
_DATABASES = ("staging.duckdb", "publish.duckdb")  # DuckDB puts logs and such beside them, under longer names


def require_own(folder: Path) -> None:
    """Raise BuildError unless the folder is empty or that of a build, with nothing else in it; OSError as it comes."""
    if folder.is_symlink():
        raise _foreign(f"{folder} is a link")
    lock = folder / LOCK
    # The lock comes first and says nothing: another file of that name is somebody's.
    locked = not lock.is_symlink() and lock.is_file() and lock.stat().st_size == 0
    found = sorted(os.listdir(folder))
    others = [name for name in found if not _is_own(name)] or (found if not locked else [])
    if others:
        raise _foreign(f"{folder} holds {others[0]}, which no build wrote")


def require_short(folder: Path, longer: int) -> None:
    """Raise BuildError where the folder's name, `longer` bytes longer when it is removed, would be none for a file."""
    if len(os.fsencode(folder.name)) + longer > os.pathconf(folder.parent, "PC_NAME_MAX"):
        raise BuildError(
            f"the name {folder.stem[:40]}… is too long: a build works in a folder beside it, with a longer one",
            "Take a shorter name.",
        )


def remove(folder: Path) -> bool:
    """Remove what builds write into `folder`, and the folder if nothing else is in it; whether it is gone."""
    if folder.is_symlink():
        return False
    with contextlib.suppress(OSError):
        for entry in filter(lambda entry: _is_own(entry.name), list(folder.iterdir())):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        folder.rmdir()
    return not folder.exists()


def _is_own(name: str) -> bool:
    return name in _NAMES or name.startswith(_DATABASES)


def _foreign(problem: str) -> BuildError:
    return BuildError(f"{problem}, and a build works in a folder of that name", "Move it away, or name another atlas.")
