"""The wheel and the sdist, built as a release is, each once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.imports import ROOT
from tests.packaging.environment import Environment

SDIST = "import sys; from hatchling.build import build_sdist; build_sdist(sys.argv[1])"


def build_wheel(source: Path, target: Path) -> Path:
    """The wheel that pip builds of a folder or an sdist, in an environment of its own as pip always does."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", target, source]
    subprocess.run(command, check=True, cwd=target.parent)
    (wheel,) = target.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel") / "dist")


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    backend = folder / "backend"  # pip itself builds none
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", backend, "hatchling>=1.27"]
    subprocess.run(pip, check=True, cwd=folder)
    command = [sys.executable, "-c", SDIST, folder / "dist"]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(backend)})
    (archive,) = (folder / "dist").glob("*.tar.gz")
    return archive


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment for tests that only look."""
    environment = Environment(tmp_path_factory.mktemp("installed") / "env")
    environment.pip("install", "--no-deps", wheel)
    environment.see_libraries()
    return environment


@pytest.fixture(scope="session")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """With the checkout itself, as CONTRIBUTING.md has it; its path has a space, which a #! line cannot have."""
    environment = Environment(tmp_path_factory.mktemp("editable") / "an env")
    pip = [sys.executable, "-m", "pip", "--python", environment.python, "install", "--quiet", "--no-deps", "-e", ROOT]
    subprocess.run(pip, check=True, cwd=environment.folder)
    environment.see_libraries()
    return environment


@pytest.fixture
def own(installed: Environment, tmp_path: Path) -> Environment:
    """An environment for one test, which may change it."""
    return Environment(tmp_path / "env", installed)
