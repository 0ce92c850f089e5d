"""Shards that are put together: whether they are all of one build, and the rows that they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from atlas.errors import BuildError, UsageError
from atlas.manifest import SCHEMA_VERSION, software_version
from atlas.schema.tables import PASSING, TABLES
from builders.build.job import Key, Share
from builders.build.product import Tables
from builders.config import BuildConfig, ConceptSource
from builders.file_hash import sha256_of
from builders.shards.folder import FORMAT, MARK, ids_hash, unit_folder

_MOST_BYTES = 1 << 28
_AGAIN = "Build it anew, or leave it out."


@dataclass(frozen=True)
class Shard:
    """What `shard.json` of a folder says."""

    folder: Path
    share: Share
    options: dict[str, Any]
    parameters: dict[str, Any]
    ids: dict[Key, str]
    units: dict[str, dict[str, dict[str, str]]]


def read_shard(folder: Path) -> Shard:
    """Raises BuildError for what is no shard, is not finished, or is of another version of this program."""
    mark = folder / MARK
    try:
        if not mark.is_file():
            why = "is not finished: its build is to be resumed" if (folder / "units").is_dir() else "is no shard"
            raise BuildError(f"{folder} {why}: there is no {MARK} in it")
        if mark.stat().st_size > _MOST_BYTES:
            raise BuildError(f"{mark} is too large to be that of a shard")
        said = json.loads(mark.read_text("utf-8"))
        if said["format"] != FORMAT:
            raise BuildError(f"{folder} is no shard that this version reads", _AGAIN)
        for name, own in (("software", software_version()), ("schema_version", SCHEMA_VERSION)):
            if said[name] != own:
                raise BuildError(f"{folder} was made by another version ({name} {said[name]!r}, not {own!r})", _AGAIN)
        shard = Shard(
            folder,
            Share(said["index"], said["count"]),
            said["config"],
            said["parameters"],
            {Key(product, part): digest for product, part, digest in said["ids"]},
            said["units"],
        )
        share, units = shard.share, [unit for units in shard.units.values() for unit in units.values()]
        whole = all(isinstance(number, int) for number in share) and 1 <= share.index <= share.count
        if not (whole and isinstance(shard.options, dict) and isinstance(shard.parameters, dict)):
            raise ValueError
        if not all(isinstance(digest, str) for unit in units for digest in unit.values()):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:  # of any JSON
        raise BuildError(f"{mark} is damaged or cannot be read", _AGAIN) from error
    return shard


def read_shards(folders: Sequence[Path]) -> Shards:
    """All shards of a build. Raises BuildError naming those that overlap, are missing, or are of another build."""
    if not folders:
        raise UsageError("no shards are named")
    shards = [read_shard(folder) for folder in folders]
    first = shards[0]
    for shard in shards[1:]:
        if shard.share.count != first.share.count:
            counts = f"one of {shard.share.count}, {first.folder} of {first.share.count}"
            raise BuildError(f"{shard.folder} is {counts}: they overlap", _AGAIN)
        key = _differing(first.parameters, shard.parameters)
        if key is not None:
            raise BuildError(
                f"{shard.folder} is of another build than {first.folder}: {key} is "
                f"{_short(shard.parameters.get(key))}, not {_short(first.parameters.get(key))}",
                _AGAIN,
            )
    there: dict[int, Path] = {}
    for shard in shards:
        if shard.share.index in there:
            number = f"shard {shard.share.index} of {shard.share.count}"
            raise BuildError(f"{there[shard.share.index]} and {shard.folder} are both {number}", "Leave one out.")
        there[shard.share.index] = shard.folder
    missing = [index for index in range(1, first.share.count + 1) if index not in there]
    if missing:
        which = ", ".join(map(str, missing[:5])) + (", …" if len(missing) > 5 else "")
        plural = "s are" if len(missing) > 1 else " is"
        raise BuildError(f"shard{plural} missing: {which} of {first.share.count}", "Build and name them too.")
    return Shards(shards)


class Shards:
    """The units of all shards of a build."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards

    def build_options(self, target: Path) -> BuildConfig:
        """The options that the shards were built with. Raises BuildError for those that no build has."""
        said, shard = dict(self._shards[0].options), self._shards[0]
        try:
            known = {field.name for field in fields(BuildConfig)} - {"target", "spend"}
            if said.keys() - known or not isinstance(said["model"], str):
                raise ValueError
            said["concepts"] = [ConceptSource(**each) for each in said["concepts"]]
            values = {name: _tuples(value) if name != "corpus_options" else value for name, value in said.items()}
            return BuildConfig(target=target, **values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BuildError(f"{shard.folder / MARK} has options that no build has", _AGAIN) from error

    def require(self, parameters: Mapping[str, Any]) -> None:
        """BuildError unless this build, as its model, texts and options are now, is the one of the shards."""
        shard = self._shards[0]
        key = _differing(json.loads(json.dumps(parameters)), shard.parameters)
        if key is not None:
            raise BuildError(
                f"{shard.folder} is of another build than what is here now: {key} is "
                f"{_short(shard.parameters.get(key))}, not {_short(parameters.get(key))}",
                "Merge where the same model and texts are.",
            )

    def tables(self, key: Key, ids: object, unit: str) -> Tables | None:
        """The rows of a unit; None for one of a product that shards do not make.

        Raises BuildError for a unit that is missing, damaged, or twice.
        """
        if key not in self._shards[0].ids:
            return None
        have = [shard for shard in self._shards if unit in shard.units.get(key.product, {})]
        if len(have) != 1:
            who = " and ".join(str(shard.folder) for shard in have[:2])
            problem = f"{who} both hold" if have else "no shard holds"
            raise BuildError(f"{problem} {key.product} {unit}", "Build the shards anew.")
        if have[0].ids.get(key) != ids_hash(ids):
            raise BuildError(f"{have[0].folder} numbers the fits of {key.product} otherwise", _AGAIN)
        return self._read(have[0], key.product, unit)

    def _read(self, shard: Shard, product: str, unit: str) -> Tables:
        import pyarrow as pa

        folder, found = unit_folder(shard.folder, product, unit), {}
        for name, digest in shard.units[product][unit].items():
            table = TABLES.get(name) or PASSING.get(name)
            path = folder / f"{name}.arrow"
            try:
                if table is None or sha256_of(path) != digest:
                    raise OSError
                with pa.memory_map(str(path)) as file:
                    found[name] = pa.ipc.open_file(file).read_all()
                if set(found[name].column_names) - {column.name for column in table.columns}:
                    raise OSError
            except (OSError, pa.ArrowInvalid) as error:
                raise BuildError(f"{path} is damaged, gone or no table of a shard", _AGAIN) from error
        return found


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    differing = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    # What says most comes first: with another model everything else differs too.
    return min(differing, key=lambda key: (key != "fingerprint", key != "corpora", key), default=None)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
