"""A shard of a build: a folder with the rows of some of its units, and `shard.json`, written last, that says which.

ATLAS.shard-1-of-4/units/PRODUCT/UNIT/TABLE.arrow
ATLAS.shard-1-of-4/shard.json
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from atlas.errors import BuildError, UsageError
from atlas.manifest import SCHEMA_VERSION, software_version
from builders.build.job import Key, Share
from builders.file_hash import sha256_of

if TYPE_CHECKING:
    from builders.build.product import Tables
    from builders.config import BuildConfig

MARK, UNITS, FORMAT = "shard.json", "units", "neuron-atlas shard 1"
_PART = ".part"


def shard_folder(target: Path, share: Share) -> Path:
    """The shard of the atlas `target`."""
    return target.with_name(f"{target.name}.shard-{share.index}-of-{share.count}")


def ids_hash(ids: object) -> str:
    """By which units are told that were made for other rows of the atlas."""
    return hashlib.sha256(json.dumps(ids, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class ShardStore:
    """Where the units of a shard are kept while it is made: a unit is there as a whole or not at all."""

    folder: Path

    def clear(self) -> None:
        """Begin anew. Raises UsageError where the folder holds what no shard does."""
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"{self.folder} is no folder", "Move it away.")
        if self.folder.is_dir():
            for entry in sorted(self.folder.iterdir()):
                if entry.name not in (UNITS, MARK):
                    raise UsageError(f"{self.folder} holds {entry.name}, which is of no shard", "Move it away.")
            shutil.rmtree(self.folder)
        (self.folder / UNITS).mkdir(parents=True)

    def complete(self) -> bool:
        """Whether it has its mark."""
        return (self.folder / MARK).exists()

    def done(self, step: str) -> set[str]:
        """The units of a product that are there."""
        folder = self.folder / UNITS / quote(step, safe="")
        if not folder.is_dir():
            return set()
        return {unquote(entry.name) for entry in folder.iterdir() if not entry.name.endswith(_PART)}

    def commit(self, step: str, unit: str, tables: Tables) -> None:
        """Keep the rows of a unit."""
        import pyarrow as pa

        place = self._of(step, unit)
        part = place.with_name(place.name + _PART)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, rows in tables.items():
            with pa.OSFile(str(part / f"{name}.arrow"), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
                writer.write_table(rows)
        part.rename(place)

    def finish(self, share: Share, config: BuildConfig, parameters: dict[str, Any], ids: dict[Key, Any]) -> None:
        """Write the mark."""
        units = {
            product: {unit: self._hashes(product, unit) for unit in sorted(self.done(product))}
            for product in dict.fromkeys(key.product for key in ids)
        }
        said = {
            "format": FORMAT,
            "software": software_version(),
            "schema_version": SCHEMA_VERSION,
            "index": share.index,
            "count": share.count,
            "config": {name: value for name, value in asdict(config).items() if name not in ("target", "spend")},
            "parameters": parameters,
            "ids": [[*key, ids_hash(value)] for key, value in ids.items()],
            "units": units,
        }
        part = self.folder / (MARK + _PART)
        with open(part, "w", encoding="utf-8") as file:
            json.dump(said, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self.folder / MARK)

    def _hashes(self, product: str, unit: str) -> dict[str, str]:
        files = sorted(self._of(product, unit).glob("*.arrow"))
        return {path.stem: sha256_of(path) for path in files}

    def _of(self, step: str, unit: str) -> Path:
        return unit_folder(self.folder, step, unit)


def unit_folder(folder: Path, product: str, unit: str) -> Path:
    """Where a unit's rows are; its name is quoted, so that it leads nowhere else. BuildError for one that would."""
    names = [quote(each, safe="") for each in (product, unit)]
    if any(name in ("", ".", "..") for name in names):
        raise BuildError(f"{folder} names a unit {unit!r}, which no build has")
    return folder / UNITS / names[0] / names[1]
