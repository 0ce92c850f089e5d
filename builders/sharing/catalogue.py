"""Atlases that are known by a name: the table data/atlases.toml."""

from __future__ import annotations

import tomllib
from typing import NamedTuple

from atlas.errors import UnknownNameError
from atlas.packaged import data_folder


class KnownAtlas(NamedTuple):
    """One row: where the atlas is published, which one it is, and what it is under."""

    name: str
    url: str
    atlas_id: str
    licence: str
    description: str


def known_atlases() -> dict[str, KnownAtlas]:
    """The table, by name."""
    rows = tomllib.loads((data_folder() / "atlases.toml").read_text(encoding="utf-8"))
    return {name: KnownAtlas(name=name, **row) for name, row in rows.items()}


def known_atlas(name: str) -> KnownAtlas:
    """One row. UnknownNameError, which also says that it is no folder."""
    known = known_atlases()
    if name not in known:
        raise UnknownNameError("folder, URL or published atlas", name, known)
    return known[name]
