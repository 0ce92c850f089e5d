"""Where an atlas is published: a folder, or whatever fsspec reaches (s3://, memory://), or a data set of the hub."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from atlas.errors import UsageError
from atlas.extras import require
from atlas.files_of_url import failing_as, filesystem_of
from atlas.place import is_url
from atlas.schema.published import FORMAT, MANIFEST, README
from builders.file_hash import sha256_of

_HUB = "hf://"
_OURS = (MANIFEST, README)
_FOLDERS = ("cards", "tables")


class Destination:
    """A folder that is being published, through fsspec. Files are put one after another, the manifest last.

    A file whose name is there with the same size is the same one: a name holds the beginning of its sha256.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._files, self._root = filesystem_of(url)
        self._there: dict[str, int] = {}

    def begin(self) -> None:
        """Look at what is there. UsageError for what is neither empty nor a published folder (of any state)."""
        with _said(self.url):
            found = self._files.find(self._root, detail=True) if self._files.exists(self._root) else {}
        root = self._root.rstrip("/") + "/"
        self._there = {name.removeprefix(root): int(entry["size"] or 0) for name, entry in found.items()}
        strange = sorted(name for name in self._there if not is_published_name(name))
        if self._files.exists(self._root) and not self._files.isdir(self._root):
            raise UsageError(f"{self.url} is a file", "Name a folder to publish to.")
        if strange:
            raise UsageError(f"{self.url} holds {strange[0]}, which no published atlas has", "Name an empty folder.")
        if MANIFEST in self._there and not _is_manifest(self.read(MANIFEST)):
            raise UsageError(f"{self.url} holds a {MANIFEST} that is not ours", "Name an empty folder.")

    def put(self, source: Path, name: str) -> bool:
        """Bring a finished file, which is gone afterwards. False where it is there already."""
        if self._there.get(name) == source.stat().st_size and self._is_same(source, name):
            source.unlink()
            return False
        with _said(self.url):
            self._put(source, name)
        self._there[name] = 0
        source.unlink(missing_ok=True)
        return True

    def read(self, name: str) -> bytes:
        """What a small file holds."""
        with _said(self.url):
            content: bytes = self._files.cat_file(f"{self._root}/{name}")
        return content

    def finish(self, documents: dict[str, bytes], kept: set[str]) -> list[str]:
        """Write small files, the last one last, then remove those of an earlier publishing; returns their names."""
        with _said(self.url):
            for name, content in documents.items():
                self._write(content, name)
            old = sorted(self._there.keys() - kept - documents.keys())
            for name in old:
                self._files.rm_file(f"{self._root}/{name}")
        return old

    def _is_same(self, source: Path, name: str) -> bool:
        return True

    def _put(self, source: Path, name: str) -> None:
        self._files.put_file(str(source), f"{self._root}/{name}")

    def _write(self, content: bytes, name: str) -> None:
        self._files.pipe_file(f"{self._root}/{name}", content)


class Folder(Destination):
    """A folder of this machine: every file is renamed into place when it is whole and on the disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"file://{os.path.abspath(path)}")
        self.url, self._path = str(path), Path(os.path.abspath(path))

    def begin(self) -> None:
        """UsageError also for a folder in one that is not there."""
        super().begin()
        if not self._path.parent.is_dir():
            raise UsageError(f"there is no folder {self._path.parent} to publish into", "Make it first.")

    def _is_same(self, source: Path, name: str) -> bool:
        return sha256_of(self._path / name) == sha256_of(source)

    def _put(self, source: Path, name: str) -> None:
        target = self._path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        try:
            shutil.copyfile(source, partial)
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def _write(self, content: bytes, name: str) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        partial = self._path / f".{name}.part"
        partial.write_bytes(content)
        os.replace(partial, self._path / name)


class Hub(Destination):
    """A data set of the Hugging Face hub, `hf://datasets/OWNER/NAME`: one commit, so readers see all of it or nothing.

    What is put is collected in a folder; the hub takes what it has not got yet.
    """

    def __init__(self, url: str, folder: Path) -> None:
        hub: Any = require("huggingface_hub", extra="remote", why="to publish on the Hugging Face hub")
        parts = url.removeprefix(_HUB).strip("/").split("/")
        if len(parts) != 3 or parts[0] != "datasets":
            raise UsageError(f"{url} is no data set of the hub", "Name it as hf://datasets/OWNER/NAME.")
        self.url, self._repository, self._folder = url, "/".join(parts[1:]), folder / "commit"
        self._api = hub.HfApi()
        self._there = {}

    def begin(self) -> None:
        """Make the data set where there is none. BuildError where the hub refuses."""
        self._folder.mkdir()
        with _said(self.url):
            self._api.create_repo(self._repository, repo_type="dataset", exist_ok=True)

    def _put(self, source: Path, name: str) -> None:
        target = self._folder / name
        target.parent.mkdir(exist_ok=True)
        shutil.move(source, target)

    def finish(self, documents: dict[str, bytes], kept: set[str]) -> list[str]:
        """Commit everything, and with it the end of earlier files."""
        for name, content in documents.items():
            (self._folder / name).write_bytes(content)
        with _said(self.url):
            self._api.upload_folder(
                folder_path=str(self._folder),
                repo_id=self._repository,
                repo_type="dataset",
                commit_message="Publish a neuron atlas",
                delete_patterns=[f"{folder}/*" for folder in _FOLDERS] + ["model-*.parquet"],
            )
        return []


def destination_of(dest: str, work: Path) -> Destination:
    """The place that DEST means; `work`: a folder for what is on its way. UsageError for a place that is read only."""
    if dest.startswith(_HUB):
        return Hub(dest, work)
    if not is_url(dest):
        return Folder(Path(dest))
    if dest.startswith(("http://", "https://")):
        raise UsageError(f"{dest} can be read, not written", "Publish to a folder, and let a web server serve it.")
    return Destination(dest)


def is_published_name(name: str) -> bool:
    """Whether publishing writes files of that name, also those of a publishing that was killed."""
    folder, _, file = name.rpartition("/")
    if folder:
        return folder in _FOLDERS and file.endswith((".parquet", ".parquet.part"))
    return name in _OURS or file.startswith(".") or (file.startswith("model-") and file.endswith(".parquet"))


def _is_manifest(content: bytes) -> bool:
    try:
        found = json.loads(content)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def _said(url: str) -> contextlib.AbstractContextManager[None]:
    return failing_as(f"cannot publish to {url}", "Nothing that was there before has changed.")
