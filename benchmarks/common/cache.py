"""Results of slow parts, one file each, so that a report can be written again without running them again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np


def cached(folder: Path, name: str, identity: object, compute: Callable[[], dict[str, np.ndarray]]) -> dict:
    """The arrays that `compute` returns, kept in `folder`; `identity` (JSON) is all that they depend on."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"{name}-{digest}.npz"
    if not path.exists():
        unfinished = path.with_suffix(".part.npz")
        np.savez(unfinished, **compute())
        os.replace(unfinished, path)
    with np.load(path) as kept:
        return dict(kept)
