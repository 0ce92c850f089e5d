"""Bring files of a published folder: several at a time, each from where it was broken off, each held to its hash."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from atlas.errors import AtlasFileError
from atlas.store.far.publication import PublishedFile
from atlas.store.far.transport import Transport, Version
from builders.file_hash import sha256_of

_AT_ONCE = 4
_PIECE = 8 * 2**20


def download(
    transport: Transport, files: Iterable[PublishedFile], folder: Path, said: Callable[[str], None]
) -> dict[str, Path]:
    """Path of each file by its name, every one with the hash that the manifest says.

    Raises AtlasFileError for one that is not there, cannot be read, or has another hash even when it was brought anew;
    what was brought stays for the next time.
    """
    found: dict[str, Path] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs = {pool.submit(_bring, transport, file, folder): file for file in files}
        try:
            for job in as_completed(jobs):
                found[jobs[job].path] = job.result()
                said(f"{jobs[job].path}: {jobs[job].bytes:,} bytes")
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return found


def _bring(transport: Transport, file: PublishedFile, folder: Path) -> Path:
    target = folder / file.path.replace("/", "_")
    if target.is_file() and target.stat().st_size == file.bytes and sha256_of(target) == file.sha256:
        return target
    partial = target.with_name(target.name + ".part")
    for again in (False, True):
        if again:
            partial.unlink(missing_ok=True)
        _fill(transport, file, partial)
        if sha256_of(partial) == file.sha256:
            partial.replace(target)
            return target
    partial.unlink(missing_ok=True)
    raise AtlasFileError(f"{file.path} has another sha256 than its manifest says", "Nothing of it was used.")


def _fill(transport: Transport, file: PublishedFile, partial: Path) -> None:
    """The bytes that are missing at the end of a file."""
    version: Version | None = None
    with open(partial, "ab") as stream:
        if stream.tell() > file.bytes:
            stream.truncate(0)
        while (at := stream.seek(0, 2)) < file.bytes:
            content, version = transport.fetch(file.path, at, min(at + _PIECE, file.bytes), version)
            if version.size != file.bytes:
                raise AtlasFileError(
                    f"{file.path} has {version.size} bytes, its manifest says {file.bytes}", "Pull it again later."
                )
            stream.write(content)
