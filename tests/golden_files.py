"""Expected output in files. UPDATE_GOLDENS=1 rewrites them; the change is then reviewed as a diff."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "goldens"


def check(name: str, content: bytes) -> None:
    """Assert that `content` is what tests/goldens/<name> holds."""
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert path.exists(), f"no golden {name}: run with UPDATE_GOLDENS=1"
    assert content.decode() == path.read_bytes().decode()
