"""Which files have been looked through: the next opening of the same one need not do it again.

To list the objects of a file takes DuckDB a fifth of a cold look-up, since it lists all of its own functions too. What
was found is kept in the user's cache, and holds as long as the file system says that the file is the same: its
inode, its size, and the time of its last change, which nobody but the system sets.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from atlas.store.lacking import Lacking, as_words, from_words

CACHE_VARIABLE = "XDG_CACHE_HOME"
_KEPT = 64  # files
_SETTLED_S = 2.0  # a change within the clock's tick after the last one would not show


def mark_of(path: Path, judge: str) -> str:
    """One line that is another one as soon as the file, or `judge`, what it was looked through by, changes."""
    status = os.stat(path)
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    settled = time.time_ns() - status.st_ctime_ns > _SETTLED_S * 1e9
    return " ".join(map(str, (*numbers, *judge.split()))) if settled else ""


def recall(mark: str) -> Lacking | None:
    """What the file lacks, if `remember` was told of this mark; any trouble with the cache means None."""
    try:
        lines = _place().read_text(encoding="utf-8", errors="replace").splitlines() if mark else []
    except OSError:
        return None
    found = (line.removeprefix(mark).strip() for line in lines if line == mark or line.startswith(f"{mark} "))
    return next(map(from_words, found), None)


def remember(mark: str, lacking: Lacking) -> None:
    """Keep the mark of a file that was found good. A cache that cannot be written costs time and nothing else."""
    if not mark:
        return
    mark = f"{mark} {as_words(lacking)}".strip()
    with suppress(OSError):
        place = _place()
        place.parent.mkdir(parents=True, exist_ok=True)
        before = place.read_text(encoding="utf-8", errors="replace").splitlines() if place.exists() else []
        fresh = place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}")
        fresh.write_text("\n".join([*before, mark][-_KEPT:]) + "\n", encoding="utf-8")
        os.replace(fresh, place)


def cache_folder() -> Path:
    """Where what can be made again is kept for this user."""
    folder = os.environ.get(CACHE_VARIABLE, "")
    # The specification of these folders: a relative one is to be ignored.
    return (Path(folder) if os.path.isabs(folder) else Path.home() / ".cache") / "neuron-atlas"


def _place() -> Path:
    return cache_folder() / "looked-through"
