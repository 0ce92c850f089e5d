"""Models that a package ships: the table data/models.toml, and where fetched files live."""

from __future__ import annotations

import os
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from atlas.errors import UnknownNameError
from atlas.extras import require_gguf

_HERE = Path(__file__).resolve().parent
_BESIDE_THE_PACKAGES = _HERE.parent / "data"  # in a repository
_IN_THE_WHEEL = _HERE / "_data"


@dataclass(frozen=True)
class PackagedModel:
    """One row of the table: the file `file` inside the wheel of `package` `version`, with its `sha256`.

    `kind`: a language model, or an embedder of texts. `beside`: further files of the wheel with their sha256, which
    stand in the same folder.
    """

    name: str
    package: str
    version: str
    file: str
    sha256: str
    licence: str
    description: str
    kind: str = "model"
    beside: dict[str, str] = field(default_factory=dict)

    def require_extras(self) -> None:
        """Raise MissingExtraError where this machine could not read the file: to be asked before it is brought."""
        if self.file.endswith(".gguf"):
            require_gguf(imported=False)


def data_folder() -> Path:
    """The folder with models.toml and the project's own concept sets."""
    # Beside an installed package lies what others install: a folder `data` there is not ours.
    return _IN_THE_WHEEL if _IN_THE_WHEEL.exists() else _BESIDE_THE_PACKAGES


def packaged_models() -> dict[str, PackagedModel]:
    """The table, by name."""
    rows = tomllib.loads((data_folder() / "models.toml").read_text(encoding="utf-8"))
    return {name: PackagedModel(name=name, **row) for name, row in rows.items()}


def packaged_model(name: str) -> PackagedModel:
    """One row, or UnknownNameError with suggestions."""
    models = packaged_models()
    if name not in models:
        raise UnknownNameError("packaged model", name, models)
    return models[name]


def models_dir() -> Path:
    """Where fetched models live: under $NEURON_ATLAS_DATA, else the repository's data, else a user folder."""
    if data := os.environ.get("NEURON_ATLAS_DATA"):
        return Path(data).expanduser() / "models"
    if data_folder() == _BESIDE_THE_PACKAGES:
        return _BESIDE_THE_PACKAGES / "models"
    return _user_data_dir() / "models"


def model_path(name: str) -> Path:
    """Where the file of packaged model `name` belongs, whether or not it is there."""
    return models_dir() / name / Path(packaged_model(name).file).name


def model_file(name: str) -> Path | None:
    """The fetched file of packaged model `name`, or None when it has not been fetched."""
    path = model_path(name)
    return path if path.is_file() else None


def _user_data_dir() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "neuron-atlas"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "neuron-atlas"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "neuron-atlas"
