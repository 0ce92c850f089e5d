"""`neuron-atlas pull`: bring a published atlas and make one file of it, through the checks of every build."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from atlas.answers.result import Result
from atlas.errors import AtlasFileError, BuildError, UsageError
from atlas.manifest import Manifest, software_version, utc_now, versions
from atlas.place import is_url
from atlas.schema.published import published_name
from atlas.schema.statements import layout_of
from atlas.schema.table import Table
from atlas.store.digests import digests_in
from atlas.store.far.publication import Publication, read_publication
from atlas.store.far.transport import transport_of
from atlas.store.files import DatabaseError, full_name, nameable, refused_writes
from atlas.store.publish import publish
from atlas.store.reader import is_atlas
from atlas.store.staging import Staging
from atlas.whole_file import replaceable
from builders.sharing.catalogue import known_atlas
from builders.sharing.choice import Choice, choose, files_of
from builders.sharing.download import download
from builders.sharing.pulled_rows import as_stored, card_rows, of_layers, table_rows

_ROOM = 3
"""Times the bytes of the files: they, the tables that they become, and the atlas."""


class PullRequest(NamedTuple):
    """What to bring (a URL, a folder, a name of data/atlases.toml) and where; None for all layers, () all tables."""

    source: str
    target: Path
    layers: tuple[int, ...] | None = None
    tables: tuple[str, ...] = ()
    replace: bool = False
    memory: str = "2GB"


def pull(request: PullRequest, said: Callable[[str], None] = lambda text: None) -> Result:
    """Bring an atlas; returns one row: the file, the atlas, bytes that it took, whether it is partial.

    Rows are those that were published, and the digests of the file say so; what was brought before a pull ended early
    is kept for the next one. Raises UsageError for a target that exists, AtlasFileError for a source that does not fit
    its manifest, BuildError when rows break what every build promises: then there is no file.
    """
    _require_target(request)
    url, due = _source(request.source)
    publication = read_publication(url)
    if due not in (None, publication.manifest.atlas_id):
        raise AtlasFileError(f"{url} is another atlas than data/atlases.toml says", "Pull it by its URL to take it.")
    choice = choose(publication, request.layers, request.tables)
    files = files_of(publication, choice)
    folder = request.target.with_name(f"{request.target.name}.pulling")
    with Staging(request.target) as staging, refused_writes(request.target):
        folder.mkdir(exist_ok=True)
        _require_room(folder, sum(file.bytes for file in files))
        brought = download(transport_of(url), files, folder, said)
        manifest = _manifest(publication, choice)
        staging.start(layout_of(manifest), {"pull": publication.manifest.atlas_id})
        for table in choice.chosen:
            if table.name != "atlas":
                _fill(staging, publication, choice, table, brought)
                said(f"{published_name(table.name)} is in place")
        if choice.partial:
            staging.commit("pull", "partial", {"run": _run(staging, publication, choice)})

        def allowed() -> None:
            if not choice.partial:
                _require_digests(publication, staging.folder / "publish.duckdb")

        publish(staging, manifest, request.memory, allowed)
        staging.discard()
        shutil.rmtree(folder, ignore_errors=True)
    row = {"path": str(request.target), "atlas_id": manifest.atlas_id, "model_id": manifest.model_id}
    row |= {"bytes": sum(file.bytes for file in files), "partial": choice.partial}
    return Result(list(row), [tuple(row.values())])


def _source(source: str) -> tuple[str, str | None]:
    """(URL, the atlas that must be there): of a URL, a folder, or a name of data/atlases.toml."""
    if is_url(source):
        return source.rstrip("/"), None
    if Path(source).is_dir():
        return f"file://{Path(source).absolute()}", None
    known = known_atlas(source)
    return known.url.rstrip("/"), known.atlas_id


def _require_target(request: PullRequest) -> None:
    target = request.target
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", "Make it, or correct -o.")
    if target.is_dir():
        raise UsageError(f"{target} is a folder", "Name the file to write.")
    if not replaceable(target) or not nameable(target) or "?" in full_name(target):
        raise UsageError(f"{target} is no name of an atlas", "An atlas is a regular file; name another one.")
    if target.exists() and not request.replace:
        raise UsageError(f"{target} exists", "Use --replace to put the pulled atlas in its place.")
    if target.exists() and not is_atlas(target):
        raise UsageError(f"{target} is no atlas, so it is not replaced", "Name another file, or move it away.")


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if _ROOM * needed > free:
        raise BuildError(
            f"an atlas of files of {needed:,} bytes takes {_ROOM} times as many to be made, and {free:,} are free",
            "Make room, or pull a part with --layers or --tables.",
        )


def _manifest(publication: Publication, choice: Choice) -> Manifest:
    """That of the atlas; a part of one is another atlas, with the same name whenever it is pulled."""
    manifest = publication.manifest
    if not choice.partial:
        return manifest
    part = json.dumps([manifest.atlas_id, choice.layers, choice.tables])
    return manifest._replace(
        atlas_id=uuid.uuid5(uuid.NAMESPACE_OID, part).hex, created_at=utc_now(), software=software_version()
    )


def _run(staging: Staging, publication: Publication, choice: Choice) -> pa.Table:
    """The run by which a file says that it is a part, and of what."""
    last = staging.rows("SELECT coalesce(max(run_id), 0) FROM run")[0][0]
    said: dict[str, Any] = {"atlas_id": publication.manifest.atlas_id, "partial": True}
    said |= {"layers": list(choice.layers)} if choice.layers is not None else {}
    said |= {"tables": choice.tables} if choice.tables is not None else {}
    row = {"run_id": last + 1, "builder": "pull", "parameters": json.dumps(said), "versions": json.dumps(versions())}
    return pa.Table.from_pylist([row | {"device": "", "dtype": "", "started_at": utc_now(), "finished_at": utc_now()}])


def _fill(staging: Staging, publication: Publication, choice: Choice, table: Table, brought: dict[str, Path]) -> None:
    """All rows of one table. AtlasFileError for a file that holds something else than the manifest says."""
    layout = layout_of(publication.manifest)
    own = publication.tables[table.name]
    cards = choice.from_cards(table)
    files = [file for file in publication.cards if file.layer in (choice.layers or ())] if cards else own.files
    read = card_rows if cards else table_rows
    found = 0
    for file in files:
        try:
            for number, rows in enumerate(read(brought[file.path], table)):
                found += rows.num_rows
                rows = as_stored(of_layers(rows, table, choice.layers), table, layout)
                staging.commit("pull", f"{table.name}/{file.path}/{number}", {table.name: rows})
        except (pa.ArrowException, KeyError, ValueError, TypeError, DatabaseError) as error:
            text = " ".join(str(error).split())[:160]
            raise AtlasFileError(f"{file.path} does not hold rows of {table.name}: {text}", "It is damaged.") from error
    if not cards and found != own.rows:
        raise AtlasFileError(f"the files of {table.name} have {found} rows, not {own.rows}", "Pull it again later.")


def _require_digests(publication: Publication, sealed: Path) -> None:
    """Raise BuildError unless the columns of a finished file are those that were published."""
    found = digests_in(sealed)
    for name, parts in publication.digests.items():
        for part, crc32 in parts.items():
            same = found.get(name, {}).get(part) == crc32
            if not same and name not in publication.altered and f"{name}.{part}" not in publication.altered:
                raise BuildError(f"{part[:60]} of {name[:60]} is not what was published", "There is no new file.")
