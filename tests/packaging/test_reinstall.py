"""Over an older version and away again: nothing stays behind that could be imported."""

from __future__ import annotations

import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path

from tests.architecture.imports import OURS, ROOT
from tests.packaging.environment import Environment

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
# A module that is no longer, and a package where a module of that name is now: it would hide the module.
ONCE = {"atlas/once.py": "", "queries/tokens/__init__.py": "raise SystemExit(7)"}


def older(wheel: Path, folder: Path) -> Path:
    """The wheel as version 0.0.1 with the files of ONCE."""
    target = folder / "neuron_atlas-0.0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w") as out:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith(("/METADATA", "/RECORD")):
                content = content.replace(VERSION.encode(), b"0.0.1", 1 if name.endswith("/METADATA") else -1)
            if name.endswith("/RECORD"):
                content = b"".join(b"%s,,\n" % file.encode() for file in ONCE) + content
            out.writestr(name.replace(f"neuron_atlas-{VERSION}", "neuron_atlas-0.0.1"), content)
        for name, text in ONCE.items():
            out.writestr(name, text)
    return target


def modules(environment: Environment) -> set[str]:
    """Files of our packages on disk, without the compiled copies that Python never reads alone."""
    files = [path for name in OURS for path in (environment.site / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(environment.site)) for path in files if "__pycache__" not in path.parts}


def test_an_update_and_an_uninstall_leave_nothing_behind(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    environment.pip("install", "--no-deps", older(wheel, tmp_path))
    environment.see_libraries()

    def version() -> str:
        return environment.run(environment.command, "--version", cwd=tmp_path, PYTHONDONTWRITEBYTECODE="").stdout

    assert version() == "neuron-atlas 0.0.1\n"
    assert modules(environment) >= ONCE.keys()
    environment.run(environment.python, "-c", "import queries.tokens", cwd=tmp_path, PYTHONDONTWRITEBYTECODE="")

    environment.pip("install", "--no-deps", wheel)
    assert version() == f"neuron-atlas {VERSION}\n"
    (found,) = distributions(name="neuron-atlas", path=[str(environment.site)])
    files = {str(file) for file in found.files if file.parts[0] in OURS and "__pycache__" not in file.parts}
    assert modules(environment) == files and not files & ONCE.keys()
    help_page = environment.run(environment.command, "token", "--help", cwd=tmp_path)
    assert (help_page.returncode, help_page.stderr) == (0, "")

    environment.pip("uninstall", "--yes", "neuron-atlas")
    assert modules(environment) == set() and not environment.command.exists()
    assert not (environment.site / "neuron_atlas.py").exists()
