"""`neuron-atlas publish`: an atlas as a folder of Parquet files that any program reads, with a manifest and a card."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from atlas.answers.result import Result
from atlas.errors import UsageError
from atlas.manifest import utc_now
from atlas.schema.published import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    README,
    card_tables,
    is_of_neurons,
    kind_of,
    published_name,
)
from atlas.schema.table import Table
from atlas.store.reader import Atlas, open_atlas
from builders.sharing.dataset_card import dataset_card
from builders.sharing.destination import Destination, destination_of
from builders.sharing.parquet import PublishedFile, in_shards, put, table_schema, write_parquet
from builders.sharing.rows import Rows, altered

_GROUP, _POSTING_GROUP, _CARD_GROUP = 16_384, 32_768, 64
_CARD_ROWS = 2048
"""Neurons of a file with cards."""
UNKNOWN = "unknown"


class PublishRequest(NamedTuple):
    """What to publish where. `licences`: by corpus; `name`: what the atlas is called in its card."""

    atlas: Path
    dest: str
    with_texts: bool = False
    licences: Mapping[str, str] = {}
    licence: str = UNKNOWN


def publish_atlas(request: PublishRequest, said: Callable[[str], None] = lambda text: None) -> Result:
    """Publish an atlas; `said` is told of each file. Returns one row: where, files, bytes, how many were there before.

    A publishing that was killed goes on where it was when it is asked again: what is there already is kept. Raises
    UsageError for a place that holds something else or a corpus that the atlas has not, BuildError when the place
    cannot be written, AtlasFileError as `open_atlas`.
    """
    with open_atlas(request.atlas, 0) as atlas, _work(request.dest) as work:
        rows = Rows(atlas, request.with_texts)
        corpora = corpora_of(atlas, request)
        to = destination_of(request.dest, Path(work))
        to.begin()
        found: list[PublishedFile] = []
        tables: dict[str, dict[str, Any]] = {}
        for table in rows.tables:
            files = list(_table_files(rows, table, work, to))
            tables[published_name(table.name)] = _described(rows, table, files)
            found += files
            said(f"{published_name(table.name)}: {rows.counts[table.name]:,} rows")
        for file in _card_files(rows, work, to):
            found.append(file)
            said(f"cards of layer {file.layer}")
        small, path = _model_file(rows, work, to)
        found.append(path)
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "published_at": f"{utc_now().isoformat()}Z",
            "atlas": {name: _plain(value) for name, value in atlas.manifest._asdict().items() if "model_" not in name}
            | {"model_id": atlas.manifest.model_id},
            "licence": request.licence,
            "corpora": corpora,
            "texts": request.with_texts,
            "altered": altered(request.with_texts),
            "digests": digests_of(atlas),
            "model_file": path.path,
            "small": [published_name(table.name) for table in small],
            "tables": tables,
            "files": [file.as_json() for file in found],
        }
        documents = {
            README: dataset_card(document).encode(),
            MANIFEST: (json.dumps(document, ensure_ascii=False) + "\n").encode(),
        }
        to.finish(documents, {file.path for file in found})
        size = sum(file.bytes for file in found)
        row = {"path": to.url, "files": len(found) + len(documents), "bytes": size, "texts": request.with_texts}
        return Result(list(row), [tuple(row.values())])


def corpora_of(atlas: Atlas, request: PublishRequest) -> list[dict[str, Any]]:
    """What the atlas was made of, with the licences that were given. UsageError for one of another corpus."""
    families = """SELECT family, any_value(corpus_sha256), any_value(n) FROM fit GROUP BY family ORDER BY family"""
    found = [
        {"name": name, "kind": "labelled texts", "sha256": sha256, "texts": n}
        for name, sha256, n in atlas.query(families)[1]
    ]
    if "_text" not in atlas.lacking.tables:
        sources = "SELECT source, count(*) FROM _text GROUP BY source ORDER BY source"
        found += [{"name": name, "kind": "running text", "texts": n} for name, n in atlas.query(sources)[1]]
    names = {corpus["name"] for corpus in found}
    for name in request.licences:
        if name not in names:
            raise UsageError(f"the atlas has no corpus {name!r}", f"It has: {', '.join(sorted(names)) or 'none'}.")
    return [corpus | {"licence": request.licences.get(corpus["name"], UNKNOWN)} for corpus in found]


def text_licences(corpora: list[dict[str, Any]]) -> list[str]:
    """`name (licence)` of what --with-texts publishes the words of."""
    return [f"{each['name']} ({each['licence']})" for each in corpora if each["kind"] == "running text"]


def digests_of(atlas: Atlas) -> dict[str, dict[str, int]]:
    """Table -> column -> CRC-32 of what the atlas was sealed with; empty for one from before there were digests."""
    if "_digest" in atlas.lacking.tables:
        return {}
    found: dict[str, dict[str, int]] = {}
    for name, part, crc32 in atlas.query("SELECT object, part, crc32 FROM _digest WHERE rows IS NOT NULL")[1]:
        found.setdefault(name, {})[part] = crc32
    return found


def _work(dest: str) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="neuron-atlas-publish-")


def _described(rows: Rows, table: Table, files: list[PublishedFile]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "rows": rows.counts[table.name],
        "columns": {column.name: kind_of(column) for column in table.columns},
        "files": [file.path for file in files],
    }
    if is_of_neurons(table):
        said["layers"] = rows.layers(table)
    return said


def _table_files(rows: Rows, table: Table, work: Path | str, to: Destination) -> Iterator[PublishedFile]:
    group = _POSTING_GROUP if table.name == "_posting" else _GROUP
    statistics = [name for name in table.key_columns() if name in table.column_names()]
    for number, batches in enumerate(in_shards(rows.whole(table))):
        path = Path(work) / "table.parquet"
        count = write_parquet(batches, table_schema(table), path, group, statistics)
        part = f"-{number:04}" if count < rows.counts[table.name] else ""
        yield put(path, f"tables/{published_name(table.name)}{part}", count, to)


def _card_files(rows: Rows, work: Path | str, to: Destination) -> Iterator[PublishedFile]:
    tables = [table for table in card_tables(rows.tables) if rows.counts[table.name]]
    layers = sorted({layer for table in tables for held in rows.layers(table).values() for layer in held})
    for layer in layers:
        cards = rows.cards(layer, tables)
        for first in range(0, cards.num_rows, _CARD_ROWS):
            part = cards.slice(first, _CARD_ROWS)
            path = Path(work) / "cards.parquet"
            write_parquet([part], cards.schema, path, _CARD_GROUP, ["layer", "neuron"])
            stem = f"cards/layer-{layer:03}-{first // _CARD_ROWS:03}"
            yield put(path, stem, part.num_rows, to, layer=layer, first_neuron=first)


def _model_file(rows: Rows, work: Path | str, to: Destination) -> tuple[list[Table], PublishedFile]:
    tables, row = rows.small()
    path = Path(work) / "model.parquet"
    write_parquet([row], row.schema, path, 1, [])
    return tables, put(path, "model", 1, to)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def warning_of_texts(request: PublishRequest) -> str:
    """What to say before running text is published: whose it is. Raises as `publish_atlas`."""
    with open_atlas(request.atlas, 0) as atlas:
        named = text_licences(corpora_of(atlas, request))
    return f"--with-texts publishes running text: {', '.join(named) or 'none'}; publish what its licence allows"
