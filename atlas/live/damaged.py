"""A file of a checkpoint that is not what it should be, and the reading of those that are JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from atlas.json_text import JsonError, read_json


class Damaged(ValueError):
    """What is wrong with a file, in a few words."""


def read_json_file(path: Path, most_bytes: int) -> Any:
    """The value in the file `path`. Raises Damaged or OSError."""
    with path.open("rb") as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise Damaged(f"{path.name} is larger than {most_bytes >> 20} MiB")
    try:
        return read_json(content)
    except JsonError as error:
        raise Damaged(f"{path.name} is {error}") from None
