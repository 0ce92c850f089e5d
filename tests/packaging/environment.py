"""Virtual environments that have our wheel and no checkout: what a user has after `pip install`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VARIABLES = ("PYTHONPATH", "PYTHONSAFEPATH", "NEURON_ATLAS", "NEURON_ATLAS_DATA", "NEURON_ATLAS_TRACEBACK")


class Environment:
    """A virtual environment at `folder`, which sees the libraries of the test environment but not our checkout."""

    def __init__(self, folder: Path, model: Environment | None = None) -> None:
        """A new one, or a copy of `model`."""
        if model is None:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        else:
            shutil.copytree(model.folder, folder, symlinks=True)
            script = folder / "bin" / "neuron-atlas"
            script.write_text(script.read_text().replace(str(model.folder), str(folder)))
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.command = folder / "bin" / "neuron-atlas"
        (self.site,) = folder.glob("lib/python*/site-packages")

    def pip(self, *arguments: object) -> str:
        """Run pip of the test environment on this one, without an index; its output."""
        command = [sys.executable, "-m", "pip", "--python", self.python, *arguments]
        settings = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=settings)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def see_libraries(self) -> None:
        """Put the site-packages of the test environment behind our own; a .pth file in one of those is not followed.

        To be called after the wheel is installed: pip sees them too, and would find our editable install there.
        """
        folders = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
        (self.site / "libraries.pth").write_text("".join(f"{entry}\n" for entry in folders))

    def run(self, *command: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in `cwd` with the environment variables that a user would have, and `variables`."""
        settings = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        return subprocess.run(
            [*map(str, command)], cwd=cwd, env={**settings, **variables}, capture_output=True, text=True
        )
