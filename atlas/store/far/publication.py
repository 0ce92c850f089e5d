"""The manifest of a published folder, read as what a stranger wrote: refused in one line unless all of it fits."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from atlas.errors import AtlasFileError
from atlas.manifest import SCHEMA_VERSION, Manifest
from atlas.schema.published import FORMAT, FORMAT_VERSION, MANIFEST, is_of_neurons, kind_of, published_tables, table_of
from atlas.schema.table import Table
from atlas.store.far.files import FarFiles, Files
from atlas.store.far.transport import Version, transport_of

MOST_BYTES = 64 * 2**20
"""Of a manifest; one of 126 layers with 53,248 neurons has half a megabyte."""
_PATH = re.compile(r"(?:tables|cards)/[a-z0-9_-]{1,100}\.parquet|model-[0-9a-f]{16}\.parquet")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 2**48
_MOST_SMALL = 256 * 2**20


class PublishedFile(NamedTuple):
    """One file: its path below the folder, hash, bytes, rows; of one with cards also layer and first neuron."""

    path: str
    sha256: str
    bytes: int
    rows: int
    layer: int | None
    first_neuron: int | None


class PublishedTable(NamedTuple):
    """One table. `columns`: those that it has; `layers`: of one about neurons, by weight, site or ''."""

    table: Table
    rows: int
    columns: list[str]
    files: list[PublishedFile]
    layers: dict[str, list[int]]


class Publication(NamedTuple):
    """What a folder says of itself. `small`: names of the tables that the file of the model has."""

    url: str
    manifest: Manifest
    files: dict[str, PublishedFile]
    tables: dict[str, PublishedTable]
    model_file: PublishedFile
    small: list[str]
    altered: list[str]
    digests: dict[str, dict[str, int]]
    corpora: list[dict[str, Any]]
    texts: bool

    @property
    def cards(self) -> list[PublishedFile]:
        """The files with cards, by layer and first neuron."""
        found = [file for file in self.files.values() if file.layer is not None]
        return sorted(found, key=lambda file: (file.layer or 0, file.first_neuron or 0))

    @property
    def lacking(self) -> list[str]:
        """Tables of the schema that the atlas did not have."""
        return [table.name for table in published_tables() if table.name not in self.tables]


def read_publication(url: str, files: FarFiles | None = None) -> Publication:
    """The manifest of the folder at `url`. Raises AtlasFileError for none, or one that does not fit, UsageError."""
    return parse_manifest(files or FarFiles(url, transport_of(url)))


def parse_manifest(files: Files) -> Publication:
    """The same through files that know what they are read from."""
    found = parse(files.whole(MANIFEST, MOST_BYTES), files.url)
    files.know({path: Version(file.bytes, file.sha256) for path, file in found.files.items()})
    return found


def parse(content: bytes, url: str) -> Publication:
    """The same from the bytes of the file."""
    try:
        return _publication(_json(content), url)
    except _Unfit as error:
        raise AtlasFileError(
            f"the manifest of {url} does not fit: {error}", "It is no atlas that can be read."
        ) from None


class _Unfit(Exception):
    """What is wrong with the manifest."""


def _json(content: bytes) -> dict[str, Any]:
    if len(content) >= MOST_BYTES:
        raise _Unfit("it is too large")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise _Unfit("it is no JSON") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _Unfit("it is of no neuron atlas")
    version = _whole(found.get("format_version"), "format_version")
    if version > FORMAT_VERSION:
        raise _Unfit(
            f"it has format version {version}, this software reads {FORMAT_VERSION}: pip install -U neuron-atlas"
        )
    return found


def _publication(said: dict[str, Any], url: str) -> Publication:
    manifest = _atlas(_mapping(said.get("atlas"), "atlas"))
    files: dict[str, PublishedFile] = {}
    for each in _sequence(said.get("files"), "files"):
        file = _file(_mapping(each, "a file"), manifest)
        if file.path in files:
            raise _Unfit(f"it names {file.path} twice")
        files[file.path] = file
    tables = dict(_tables(_mapping(said.get("tables"), "tables"), files, manifest))
    needed = [table.name for table in published_tables() if not table.later and table.name not in tables]
    if needed:
        raise _Unfit(f"it lacks the table {needed[0]}")
    model_file = files.get(_text(said.get("model_file"), "model_file"))
    if model_file is None or model_file.bytes > _MOST_SMALL:
        raise _Unfit("it names no file of the model")
    small = [_table(name).name for name in _sequence(said.get("small"), "small")]
    unknown = [name for name in small if name not in tables or is_of_neurons(tables[name].table)]
    if unknown:
        raise _Unfit(f"it calls {unknown[0]} small")
    return Publication(
        url,
        manifest,
        files,
        tables,
        model_file,
        small,
        [_text(name, "altered") for name in _sequence(said.get("altered"), "altered")],
        _digests(_mapping(said.get("digests"), "digests")),
        [_mapping(each, "a corpus") for each in _sequence(said.get("corpora"), "corpora")],
        said.get("texts") is True,
    )


def _atlas(said: dict[str, Any]) -> Manifest:
    texts = "atlas_id software model_id fingerprint family architecture hidden_act".split()
    numbers = "schema_version n_layers d_model d_mlp d_vocab top bins".split()
    fields: dict[str, Any] = {name: _text(said.get(name), name) for name in texts}
    fields |= {name: _whole(said.get(name), name, 2**31 - 1) for name in numbers}
    fields |= {name: said.get(name) is True for name in ("gated", "add_bos")}
    if min(fields[name] for name in numbers) < 1:
        raise _Unfit("it states sizes that no model has")
    if fields["schema_version"] != SCHEMA_VERSION:
        raise _Unfit(f"it has schema version {fields['schema_version']}, this software reads {SCHEMA_VERSION}")
    if 3 * fields["n_layers"] * fields["d_mlp"] >= 2**31 or fields["top"] > 4096 or fields["bins"] > 4096:
        raise _Unfit("it states sizes that no model has")
    for name in ("decoding_mode", "validated", "head", "quantised", "revision", "tower"):
        fields[name] = None if said.get(name) is None else _text(said[name], name)
    try:
        fields["created_at"] = dt.datetime.fromisoformat(_text(said.get("created_at"), "created_at"))
    except ValueError:
        raise _Unfit("created_at is no time") from None
    return Manifest(**fields)


def _file(said: dict[str, Any], manifest: Manifest) -> PublishedFile:
    path, sha256 = _text(said.get("path"), "path"), _text(said.get("sha256"), "sha256")
    if not _PATH.fullmatch(path):
        raise _Unfit(f"it names a file {path[:80]!r}")
    if not _SHA256.fullmatch(sha256) or sha256[:16] != path.removesuffix(".parquet")[-16:]:
        raise _Unfit(f"the sha256 of {path} is none, or another than its name says")
    layer = None
    if path.startswith("cards/"):
        layer = _whole(said.get("layer"), "layer", manifest.n_layers - 1)
    first = None if layer is None else _whole(said.get("first_neuron"), "first_neuron", _MOST)
    return PublishedFile(
        path, sha256, _whole(said.get("bytes"), "bytes"), _whole(said.get("rows"), "rows"), layer, first
    )


def _tables(
    said: dict[str, Any], files: dict[str, PublishedFile], manifest: Manifest
) -> Iterable[tuple[str, PublishedTable]]:
    for name, each in said.items():
        table, each = _table(name), _mapping(each, name)
        columns = {column.name: column for column in table.columns}
        kinds = _mapping(each.get("columns"), "columns")
        for column, kind in kinds.items():
            if column not in columns or kind != kind_of(columns[column]):
                raise _Unfit(f"{name} has a column {column[:40]!r} that is not ours")
        absent = [column for column in columns if column not in kinds and not columns[column].null]
        if absent:
            raise _Unfit(f"{name} lacks the column {absent[0]}")
        paths = [_text(path, "a file") for path in _sequence(each.get("files"), "files")]
        strange = [path for path in paths if path not in files]
        if strange:
            raise _Unfit(f"{name} has a file {strange[0][:80]!r} that it does not describe")
        layers = {
            _text(by, "layers"): [_whole(layer, "layers", manifest.n_layers - 1) for layer in _sequence(held, "layers")]
            for by, held in _mapping(each.get("layers", {}), "layers").items()
        }
        found = [files[path] for path in paths]
        rows = _whole(each.get("rows"), "rows")
        if rows != sum(file.rows for file in found):
            raise _Unfit(f"the files of {name} do not have its {rows} rows")
        yield table.name, PublishedTable(table, rows, list(kinds), found, layers)


def _table(name: Any) -> Table:
    table = table_of(_text(name, "a table"))
    if table is None:
        raise _Unfit(f"it has a table {name[:60]!r} that this software does not know")
    return table


def _digests(said: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {
        name: {part: _whole(crc32, "digests", 2**32 - 1) for part, crc32 in _mapping(parts, "digests").items()}
        for name, parts in said.items()
    }


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unfit(f"{what} is no object")
    return value


def _sequence(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _Unfit(f"{what} is no list")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > 10_000:
        raise _Unfit(f"{what} is no text")
    return value


def _whole(value: Any, what: str, most: int = _MOST) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _Unfit(f"{what} is {str(value)[:30]}")
    return value
