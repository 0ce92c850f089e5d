"""Which model an atlas describes: the single row of table `atlas`."""

from __future__ import annotations

import datetime as dt
import platform
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

SCHEMA_VERSION = 1


class Manifest(NamedTuple):
    """The row of table `atlas`. Dims follow TransformerLens: n_layers, d_model, d_mlp, d_vocab."""

    atlas_id: str
    schema_version: int
    created_at: dt.datetime  # UTC, without zone
    software: str
    model_id: str
    fingerprint: str  # of weights, layers and config: atlas/live/fingerprint.py
    family: str  # adapter
    architecture: str  # class name in the model's config
    hidden_act: str
    gated: bool
    n_layers: int
    d_model: int
    d_mlp: int
    d_vocab: int
    add_bos: bool
    decoding_mode: str | None  # raw, folded, linearised, or None where nothing is decoded
    top: int
    bins: int
    # Where the model was, if the build read it from a file or folder: absolute, and seen from the atlas's folder.
    # NULL for packaged names and Hugging Face ids, and absent from older atlases.
    model_path: str | None = None
    model_beside: str | None = None
    # How the adapter was checked: by passes of this `model`, or, where only its weights were read, of a small
    # `instance` of its config. Absent from older atlases, whose whole models were.
    validated: str | None = None
    head: str | None = None  # of atlas.sites.HEADS; None in older atlases, which are of language models
    # How the checkpoint's weights were packed, JSON; NULL where they were not. A GGUF file says it itself.
    quantised: str | None = None
    # Which of the versions of the model: see atlas/live/sources.py. Absent from older atlases.
    revision: str | None = None
    tower: str | None = None  # of atlas.sites.TOWERS; None where the model has none

    @classmethod
    def columns(cls) -> list[str]:
        """Column names of table `atlas`, in order."""
        return list(cls._fields)

    def row(self) -> list[Any]:
        """Values in the order of `columns()`."""
        return list(self)


def software_version() -> str:
    """'neuron-atlas X.Y.Z' of the installed distribution ('unknown' from a bare checkout)."""
    return f"neuron-atlas {_version('neuron-atlas')}"


def versions(*packages: str) -> dict[str, str]:
    """Versions by name: `software`, `python` and each of `packages` as installed ('unknown' where it is not).

    Nothing is imported for it, so a question may ask too.
    """
    found = {"software": software_version(), "python": platform.python_version()}
    return found | {name: _version(name) for name in packages}


@cache  # reading what a package says of itself takes some 10 ms
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def utc_now() -> dt.datetime:
    """Now in UTC, without zone and microseconds: what the TIMESTAMP columns hold."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
