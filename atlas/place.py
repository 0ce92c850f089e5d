"""Where an atlas is: a file of this machine, or a URL, which goes through all that takes a path."""

from __future__ import annotations

import re
from pathlib import Path, PosixPath

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):/", re.IGNORECASE)
SCHEMES = ("http", "https", "s3", "hf", "file", "memory")
"""What atlases are read from."""


def is_url(text: str) -> bool:
    """Whether a text is a URL, of any scheme; `c:x` and `a/b://c` are names of files."""
    found = _SCHEME.match(text)
    return found is not None and text.startswith("/", found.end())


class FarPath(PosixPath):
    """A URL as a path. Nothing on this machine has its name, so whoever asks for a file there finds none."""

    def __str__(self) -> str:
        text = super().__str__()  # which has one slash where several were
        return _SCHEME.sub(r"\1:///" if text[:5].lower() == "file:" else r"\1://", text, count=1)

    def __fspath__(self) -> str:
        return str(self)


def place_of(place: str | Path) -> Path:
    """The path that means this place: a FarPath for a URL, and for a folder that holds a published atlas."""
    text = str(place)
    if isinstance(place, FarPath):
        return place
    if is_url(text):
        return FarPath(text)
    path = Path(place)
    if (path / "manifest.json").is_file():
        return FarPath(f"file://{path.absolute()}")
    return path
