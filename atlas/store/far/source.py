"""An atlas that is far away, as `open_atlas` wants it: found out what it is, opened, and locked in."""

from __future__ import annotations

from typing import Any

import duckdb

from atlas.errors import AtlasError, AtlasFileError
from atlas.place import FarPath
from atlas.schema.published import MANIFEST
from atlas.store.connections import Connections
from atlas.store.far.files import FarFiles, Files
from atlas.store.far.opened import NEAR, FarTables, attach_far
from atlas.store.far.publication import parse_manifest
from atlas.store.far.transport import transport_of
from atlas.store.files import translate

MANIFEST_END = f"/{MANIFEST}"
_FILE_ENDS = (".duckdb", ".db")


class FarSource:
    """The far side of an open atlas. `tables`: of a published folder; None for a .duckdb file."""

    def __init__(
        self, path: FarPath, files: Files, timeout_s: float | None, settings: dict[str, object] | None = None
    ) -> None:
        """Raises AtlasFileError, duckdb.Error."""
        self.files = files
        self.tables: FarTables | None = None
        self._near: Connections | None = None
        if is_file(path):
            self._require_database(path)
            self.connection = attach_far(files, timeout_s, settings)
            self.bytes = files.size("")
            self.names = frozenset({""})
            return
        publication = parse_manifest(files)
        self.tables = FarTables(publication, files, timeout_s)
        self.tables.lock(settings)
        self.connection = self.tables.connection
        self.bytes = sum(file.bytes for file in publication.files.values())
        self.names = frozenset({*publication.files, MANIFEST})

    def ready(self, sql: str, parameters: Any) -> Connections | None:
        """Make ready what a statement asks for; the connections to ask, None for those of the atlas."""
        if self.tables is None:
            return None
        if not self.tables.is_near(sql, parameters):
            self.tables.mount(sql)
            return None
        self.tables.bring_near(parameters["layer"], parameters["neuron"])
        self.tables.mount(sql, near=True)
        if self._near is None:
            path = f"atlas_file.{NEAR},atlas_file.main"
            self._near = Connections(self.connection.cursor(), f"SET search_path = '{path}'")
        return self._near

    def trouble(self) -> AtlasError | None:
        """Why the last reading failed that did, told once."""
        found, self.files.trouble = self.files.trouble, None
        return found

    def close(self) -> None:
        """Read nothing more; called any number of times."""
        if self._near is not None:
            self._near.close()
        self.files.close()

    def _require_database(self, path: FarPath) -> None:
        """DuckDB would look for an extension for a file that begins otherwise. AtlasFileError for one that does."""
        if self.files.read("", 0, 12)[8:12] != b"DUCK":
            raise AtlasFileError(f"{path} is not a neuron atlas (not a DuckDB file)", "Name an atlas.")


def far_source(
    path: FarPath, timeout_s: float | None, files: Files | None = None, settings: dict[str, object] | None = None
) -> FarSource:
    """Open what is at a URL. `files`: through what it is read; `settings`: of a sandbox, which sets the last lock.

    Raises AtlasFileError, UsageError, MissingExtraError.
    """
    files = files or FarFiles(root_of(path), transport_of(root_of(path)))
    try:
        return FarSource(path, files, timeout_s, settings)
    except duckdb.Error as error:
        trouble = files.trouble
        files.close()
        raise (trouble or translate(error, path)) from error
    except BaseException:
        files.close()
        raise


def is_file(path: FarPath) -> bool:
    """Whether a URL names a .duckdb file, and not a published folder."""
    return str(path).partition("?")[0].lower().endswith(_FILE_ENDS)


def root_of(path: FarPath) -> str:
    """The URL without what may stand at the end of a folder's."""
    return str(path) if is_file(path) else str(path).removesuffix(MANIFEST_END).rstrip("/")
