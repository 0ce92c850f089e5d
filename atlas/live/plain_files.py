"""The files of a checkpoint's folder, one by one and only those that are plain files inside it.

Nothing but these is ever opened: no pickle that an index or a config names, no device, nothing beside the folder.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from atlas.errors import ModelError

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")


def plain_file(folder: Path, name: str) -> Path | None:
    """The file `name` of `folder`, links resolved; None when there is none.

    A Hugging Face cache's snapshot is a folder of links to its blobs; other links out of the folder are refused.
    Raises ModelError for a name that is a path, for a link that leads out, and for what is no regular file.
    """
    if not _PLAIN_NAME.fullmatch(name):
        raise ModelError(f"{name[:100]!r} does not name a file inside {folder}", "A checkpoint is one folder of files.")
    path = folder / name
    if not path.is_symlink() and not path.exists():
        return None
    try:
        found = path.resolve(strict=True)
        mode = found.stat().st_mode
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
        raise ModelError(f"cannot read {path}: {_reason(error)}", "The link may lead nowhere.") from error
    root = folder.resolve()
    allowed = [root, root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [root]
    if found.parent not in allowed:
        raise ModelError(f"{path} is a link out of its folder, to {found}", "Put the file itself there.")
    if not stat.S_ISREG(mode):
        raise ModelError(f"{path} is not a regular file", "A checkpoint is one folder of files.")
    return found


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
