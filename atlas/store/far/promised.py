"""What an open atlas asks of what it is read through where it is far away (source.py keeps it)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import duckdb

    from atlas.errors import AtlasError
    from atlas.manifest import Manifest
    from atlas.store.connections import Connections
    from atlas.store.far.files import Files
    from atlas.store.lacking import Lacking


class FolderTables(Protocol):
    """The database of a published folder."""

    @property
    def manifest(self) -> Manifest:
        """Of its atlas."""

    @property
    def lacking(self) -> Lacking:
        """What it has not."""

    def has_rows(self, table: str) -> bool:
        """Whether a table has any."""

    def held_by(self, table: str) -> list[str]:
        """The sites or weights that a table about neurons has rows of, in order."""


class Far(Protocol):
    """What an atlas that is far away is read through. `tables`: of a published folder."""

    connection: duckdb.DuckDBPyConnection
    bytes: int
    files: Files
    names: frozenset[str]

    @property
    def tables(self) -> FolderTables | None:
        """None: it is a .duckdb file."""

    def ready(self, sql: str, parameters: dict[str, Any] | list[Any] | None) -> Connections | None:
        """Make ready what a statement asks for; the connections to ask, None for those of the atlas."""

    def trouble(self) -> AtlasError | None:
        """Why the last reading failed that did, told once."""

    def close(self) -> None:
        """Read nothing more; called any number of times."""
