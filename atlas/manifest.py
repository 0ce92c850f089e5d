"""Which model an atlas describes: the single row of table `atlas` as a frozen dataclass."""

from __future__ import annotations

import datetime as dt
import platform
from dataclasses import dataclass, fields
from importlib import metadata
from typing import Any

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """The row of table `atlas`. Dims follow TransformerLens: n_layers, d_model, d_mlp, d_vocab."""

    atlas_id: str
    schema_version: int
    created_at: dt.datetime  # UTC, without zone
    software: str
    model_id: str
    fingerprint: str  # "sha256:..." over the weights
    family: str  # adapter
    architecture: str  # class name in the model's config
    hidden_act: str
    gated: bool
    n_layers: int
    d_model: int
    d_mlp: int
    d_vocab: int
    add_bos: bool
    decoding_mode: str | None  # raw, folded, or None where nothing is decoded
    top: int
    bins: int

    @classmethod
    def columns(cls) -> list[str]:
        """Column names of table `atlas`, in order."""
        return [field.name for field in fields(cls)]

    def row(self) -> list[Any]:
        """Values in the order of `columns()`."""
        return [getattr(self, name) for name in self.columns()]


def software_version() -> str:
    """'neuron-atlas X.Y.Z' of the installed distribution ('unknown' from a bare checkout)."""
    try:
        return "neuron-atlas " + metadata.version("neuron-atlas")
    except metadata.PackageNotFoundError:
        return "neuron-atlas unknown"


def versions(*packages: str) -> dict[str, str]:
    """Versions by name: `software`, `python` and each of `packages` as installed ('unknown' where it is not).

    Nothing is imported for it, so a question may ask too.
    """
    found = {"software": software_version(), "python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def utc_now() -> dt.datetime:
    """Now in UTC, without zone and microseconds: what the TIMESTAMP columns hold."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
