"""Where the model of an atlas was, if the atlas was built from a file or folder: remembered, and looked up again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from atlas.manifest import Manifest

SPEC_FIELD = "model_path"
"""What it is called in the `source` of a spec."""


def remembered(model: Path | None, atlas: Path) -> tuple[str | None, str | None]:
    """`model_path` and `model_beside` of a manifest: `model` absolute, and as seen from the folder of `atlas`.

    None twice for a model without a path of its own, and for a path that is not Unicode, which no column can hold.
    """
    if model is None:
        return None, None
    absolute = os.path.realpath(model)
    beside = os.path.relpath(absolute, os.path.realpath(atlas.parent))
    return (absolute, beside) if _is_unicode(absolute) and _is_unicode(beside) else (None, None)


def places(manifest: Manifest, atlas: Path) -> list[str]:
    """Where the model may be, best first: where it was, then where it would be if it had moved with the atlas."""
    found = [] if manifest.model_path is None else [manifest.model_path]
    if manifest.model_beside is not None:
        found.append(os.path.normpath(os.path.join(os.path.realpath(atlas.parent), manifest.model_beside)))
    return [path for path in dict.fromkeys(found) if _is_unicode(path)]


def there(paths: Iterable[str]) -> list[str]:
    """Those of the paths where something is. They may come from a stranger's file, so a path can be no path at all."""
    return [path for path in paths if os.path.isabs(path) and os.path.exists(path)]


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # bytes of a file name that are no UTF-8
        return False
    return True
