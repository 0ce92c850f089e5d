"""What is in the wheel and in the sdist, compared with the tree; what the metadata says, with pyproject.toml."""

from __future__ import annotations

import base64
import csv
import hashlib
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.architecture.imports import OURS, ROOT
from tests.packaging.conftest import build_wheel
from tests.packaging.environment import Environment

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INFO = f"neuron_atlas-{PROJECT['version']}.dist-info"
DATA = {f"data/{name}": f"atlas/_data/{name}" for name in ("models.toml", "atlases.toml")} | {
    f"data/concepts/{path.name}": f"atlas/_data/concepts/{path.name}" for path in (ROOT / "data/concepts").iterdir()
}

START = {"atlas/neuron_atlas.py": "neuron_atlas.py"}  # in the tree: in the wheel


def in_the_tree() -> dict[str, Path]:
    """Every file of our packages as the disk has it: what git or the build tool leaves out is found missing."""
    files = [path for name in OURS for path in (ROOT / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(ROOT)): path for path in files if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(files: dict[str, bytes]):
    return Parser().parsestr(files[f"{INFO}/METADATA"].decode("utf-8"))


def test_the_wheel_has_every_file_of_the_packages_and_the_data_and_no_other(files) -> None:
    wanted = in_the_tree() | {target: ROOT / source for source, target in (DATA | START).items()}
    wanted = {name: path for name, path in wanted.items() if name not in START}
    assert len(wanted) > 200
    assert {name for name in files if not name.startswith(INFO)} == wanted.keys()
    assert [name for name, path in wanted.items() if files[name] != path.read_bytes()] == []


def test_the_wheel_has_the_files_that_are_no_code(files) -> None:
    """The kinds by name, so that a tree that has lost one is noticed too."""
    kinds = {Path(name).suffix for name in files if not name.startswith(INFO)}
    assert {".sql", ".txt", ".json", ".toml", ".jsonl"} <= kinds


def test_the_metadata_asks_for_what_pyproject_declares(metadata) -> None:
    declared = {Requirement(text) for text in PROJECT["dependencies"]}
    extras = PROJECT["optional-dependencies"]
    for extra, texts in extras.items():
        declared |= {Requirement(f"{text}; extra == '{extra}'") for text in texts}
    assert {Requirement(text) for text in metadata.get_all("Requires-Dist")} == declared
    assert set(metadata.get_all("Provides-Extra")) == set(extras)
    assert (metadata["Name"], metadata["Version"]) == (PROJECT["name"], PROJECT["version"])
    assert metadata["Requires-Python"] == PROJECT["requires-python"]


def test_the_licence_and_the_page_travel(files, metadata) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    # The text as apache.org has it.
    digest = hashlib.sha256(files[f"{INFO}/licenses/LICENSE"]).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_record_is_true(files) -> None:
    rows = list(csv.reader(files[f"{INFO}/RECORD"].decode().splitlines()))
    assert {name for name, _, _ in rows} == files.keys()
    for name, digest, size in rows:
        if digest:
            found = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={found}", len(files[name]))


def test_an_sdist_holds_what_the_wheel_needs_and_builds_the_same_one(sdist, wheel, tmp_path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    extra = {".gitignore", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert names == in_the_tree().keys() | DATA.keys() | extra
    again = build_wheel(sdist, tmp_path / "dist")
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(again) as theirs:
        assert theirs.read(f"{INFO}/RECORD") == ours.read(f"{INFO}/RECORD")  # which has every hash


def test_pip_finds_the_requirements_met_by_what_the_tests_run_with(wheel: Path, installed: Environment) -> None:
    said = installed.pip("install", "--dry-run", "--force-reinstall", "--no-deps", wheel)
    assert f"Would install neuron-atlas-{PROJECT['version']}" in said
    said = installed.pip("install", "--dry-run", "neuron-atlas[gguf,plot]")
    assert "Would install" not in said
    names = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert [name for name in names if f"Requirement already satisfied: {name}" not in said] == []
