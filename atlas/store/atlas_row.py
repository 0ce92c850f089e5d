"""The row of table `atlas` of an open file, once the file holds nothing but our own objects."""

from __future__ import annotations

from pathlib import Path

import duckdb

from atlas.errors import AtlasFileError
from atlas.manifest import SCHEMA_VERSION, Manifest
from atlas.schema.statements import Layout
from atlas.store import definitions
from atlas.store.files import translate
from atlas.store.lacking import Lacking
from atlas.store.objects import Object, read_objects


def read_atlas(
    connection: duckdb.DuckDBPyConnection, path: Path, seen: Lacking | None = None
) -> tuple[Manifest, Lacking]:
    """The row of table `atlas`, and what the file lacks, once it holds nothing but our own objects.

    `seen`: what it lacked when it was looked through before; that is not done again. Raises AtlasFileError when the
    row is absent or of another schema version, and for foreign objects.
    """
    try:
        objects = [] if seen is not None else read_objects(connection)
        if seen is None and not any(_is_plain(object) for object in objects):
            raise _no_atlas(path)
        found = connection.execute("SELECT schema_version FROM atlas").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise _no_atlas(path) from error
    except duckdb.Error as error:
        raise translate(error, path) from error
    if len(found) != 1:
        raise AtlasFileError(f"{path} has {len(found)} atlas rows instead of 1", "Rebuild it.")
    version = found[0][0]
    if not isinstance(version, int):
        raise _no_atlas(path)
    if version > SCHEMA_VERSION:
        raise AtlasFileError(
            f"{path} has schema version {version}, this software reads {SCHEMA_VERSION}",
            "Run: pip install -U neuron-atlas.",
        )
    if version < SCHEMA_VERSION:
        raise AtlasFileError(
            f"{path} has the old schema version {version}, this software reads {SCHEMA_VERSION}",
            "Rebuild it with `neuron-atlas build`.",
        )
    try:
        cursor = connection.execute("SELECT * FROM atlas")
        names = [column[0] for column in cursor.description or ()]
        row = dict(zip(names, cursor.fetchall()[0], strict=True))
    except duckdb.Error as error:
        raise translate(error, path) from error
    try:  # columns that came later may be absent
        manifest = Manifest(**{name: row[name] for name in Manifest.columns() if name in row})
    except TypeError as error:
        raise _no_atlas(path) from error
    sizes = (manifest.top, manifest.bins, manifest.d_model, manifest.n_layers, manifest.d_mlp)
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise AtlasFileError(f"{path} states sizes that no model has", "Rebuild it with `neuron-atlas build`.")
    if seen is None:
        seen = definitions.require_known(objects, definitions.ATLAS, path, Layout(*sizes))
    return manifest, seen


def _is_plain(object: Object) -> bool:
    """Whether this is the table `atlas`, of any version, and reading it only reads."""
    return object[:3] == ("table", "main", "atlas") and "GENERATED" not in object.text


def _no_atlas(path: Path) -> AtlasFileError:
    return AtlasFileError(
        f"{path} is a DuckDB file but no neuron atlas", "Name a file that `neuron-atlas build` wrote."
    )
