"""`neuron-atlas pull`: bring a published atlas and make one file of it, through the checks of every build."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from atlas.answers.result import Result
from atlas.errors import AtlasFileError, BuildError, UsageError
from atlas.manifest import Manifest, software_version, utc_now
from atlas.place import is_url
from atlas.schema.published import published_name
from atlas.schema.statements import layout_of
from atlas.store.digests import digests_in
from atlas.store.far.publication import Publication, read_publication
from atlas.store.far.transport import transport_of
from atlas.store.files import refused_writes
from atlas.store.publish import publish
from atlas.store.pulled import fill
from atlas.store.reader import is_atlas
from atlas.store.staging import Staging
from builders.sharing.catalogue import KnownAtlas, known_atlas
from builders.sharing.choice import Choice, choose, files_of
from builders.sharing.download import download

_ROOM = 3
"""Times the bytes of the files: they, the tables that they become, and the atlas."""


class PullRequest(NamedTuple):
    """What to bring (a URL, a folder, a name of data/atlases.toml) and where; None for all layers, () all tables."""

    source: str
    target: Path
    layers: list[int] | None = None
    tables: tuple[str, ...] = ()
    replace: bool = False
    memory: str = "2GB"


def pull(request: PullRequest, said: Callable[[str], None] = lambda text: None) -> Result:
    """Bring an atlas; returns one row: the file, the atlas, the bytes that were needed, whether it is partial.

    Rows are those that were published, and the digests of the file say so. A pull that ended early goes on where it
    was when it is asked again. Raises UsageError for a target that exists, AtlasFileError for a source that is none or
    does not fit its manifest, BuildError when rows break what every build promises: then there is no file.
    """
    _require_target(request)
    url, known = _source(request.source)
    publication = read_publication(url)
    if known is not None and known.atlas_id != publication.manifest.atlas_id:
        raise AtlasFileError(
            f"{url} is not the atlas that {known.name} names: it is {publication.manifest.atlas_id}",
            "Name the URL itself if that is the one you want.",
        )
    choice = choose(publication, request.layers, request.tables)
    files = files_of(publication, choice)
    needed = sum(file.bytes for file in files)
    parameters = {"pull": publication.manifest.atlas_id, "layers": request.layers, "tables": sorted(request.tables)}
    with Staging(request.target) as staging, refused_writes(request.target):
        _require_room(staging.folder, needed)
        manifest = _manifest(publication, choice)
        if not (staging.interrupted() and staging.parameters() == parameters):
            staging.start(layout_of(manifest), parameters)
        brought = download(transport_of(url), files, staging.scratch, said)
        for table in choice.chosen:
            if table.name != "atlas":
                own = publication.tables[table.name]
                cards = [brought[file.path] for file in files if file.layer is not None]
                paths = cards if choice.from_cards(table) else [brought[file.path] for file in own.files]
                rows = fill(staging, table, own.columns, paths, choice.from_cards(table), layout_of(manifest))
                _require_rows(own.rows if not choice.from_cards(table) else None, rows, published_name(table.name))
        if choice.partial:
            staging.execute_once("pull/run", [_run(publication, choice)])

        def allowed() -> None:
            if not choice.partial:
                _require_digests(publication, staging.folder / "publish.duckdb")

        publish(staging, manifest, request.memory, allowed)
        staging.discard()
    row = {"path": str(request.target), "atlas_id": manifest.atlas_id, "model_id": manifest.model_id}
    row |= {"bytes": needed, "partial": choice.partial}
    return Result(list(row), [tuple(row.values())])


def _require_target(request: PullRequest) -> None:
    if not request.target.exists():
        return
    if not request.replace:
        raise UsageError(f"{request.target} exists", "Name another file, or give --replace.")
    if not is_atlas(request.target):
        raise UsageError(f"{request.target} is no atlas", "Only an atlas is replaced: name another file.")


def _source(source: str) -> tuple[str, KnownAtlas | None]:
    """(URL, the row of the catalogue that names it). UnknownNameError for a name that is neither."""
    if is_url(source):
        return source.rstrip("/"), None
    if Path(source).is_dir():
        return f"file://{Path(source).absolute()}", None
    known = known_atlas(source)
    return known.url.rstrip("/"), known


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if _ROOM * needed > free:
        raise BuildError(
            f"the files have {needed:,} bytes, of which an atlas takes {_ROOM} times as many to be made, and "
            f"{free:,} are free at {folder.parent}",
            "Make room, or pull a part with --layers or --tables.",
        )


def _require_rows(due: int | None, found: int, name: str) -> None:
    if due is not None and found != due:
        raise AtlasFileError(f"the files of {name} have {found} rows, their manifest says {due}", "Pull it again later.")


def _manifest(publication: Publication, choice: Choice) -> Manifest:
    """The row of table `atlas`: as it was published; a part of an atlas is an atlas of its own."""
    if not choice.partial:
        return publication.manifest
    return publication.manifest._replace(atlas_id=uuid.uuid4().hex, created_at=utc_now(), software=software_version())


def _run(publication: Publication, choice: Choice) -> tuple[str, list[Any]]:
    """A row of `run`, by which the file says that it is a part, and of what."""
    said = {"of": publication.manifest.atlas_id, "url": publication.url, "partial": True}
    said |= {"layers": choice.layers, "tables": choice.tables}
    now: dt.datetime = utc_now()
    return (
        "INSERT INTO run SELECT coalesce(max(run_id), 0) + 1, 'pull', ?, ?, 'none', 'none', ?, ? FROM run",
        [json.dumps(said), json.dumps({"software": software_version()}), now, now],
    )


def _require_digests(publication: Publication, sealed: Path) -> None:
    """Raise AtlasFileError unless the file that was made has the digests of the one that was published."""
    found = digests_in(sealed)
    for name, parts in publication.digests.items():
        for part, crc32 in parts.items():
            if name in publication.altered or f"{name}.{part}" in publication.altered:
                continue
            if found.get(name, {}).get(part, crc32) != crc32:
                raise AtlasFileError(
                    f"{name}.{part} is not what was published: its digest differs", "Nothing was written."
                )


