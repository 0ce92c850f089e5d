"""Whether the files of a published folder are those of its manifest: every byte of each is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from atlas.errors import AtlasError, UsageError
from atlas.place import FarPath
from atlas.store.far.publication import PublishedFile, read_publication
from atlas.store.far.source import is_file, root_of
from atlas.store.far.transport import Transport, Version, transport_of
from atlas.store.verify import BROKEN, OK, Check

_AT_ONCE = 4
_PIECE = 8 * 2**20


def verify_folder(path: FarPath) -> Iterator[Check]:
    """A check for the manifest, and one for each file that it names.

    Raises UsageError for a .duckdb file, which is checked where it lies, and AtlasFileError where no manifest can be
    read or the place cannot be reached.
    """
    if is_file(path):
        raise UsageError(f"{path} is not on this machine", "Bring the file here, then verify it.")
    url = root_of(path)
    publication = read_publication(url)
    yield Check("manifest", OK, f"{len(publication.files)} files of atlas {publication.manifest.atlas_id}")
    transport = transport_of(url)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            yield from pool.map(lambda file: _check(transport, file), publication.files.values())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _check(transport: Transport, file: PublishedFile) -> Check:
    digest, at = hashlib.sha256(), 0
    version: Version | None = None
    try:
        while at < file.bytes:
            content, version = transport.fetch(file.path, at, min(at + _PIECE, file.bytes), version)
            if version.size != file.bytes:
                return Check(file.path, BROKEN, f"{version.size} bytes instead of {file.bytes}")
            digest.update(content)
            at += len(content)
    except AtlasError as error:
        return Check(file.path, BROKEN, error.message)
    if digest.hexdigest() != file.sha256:
        return Check(file.path, BROKEN, "another sha256 than the manifest says")
    return Check(file.path, OK)
