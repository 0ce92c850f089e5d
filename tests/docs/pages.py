"""The pages of the repository, and docs/make_tour.py as a module."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

from tests.architecture.imports import ROOT


def make_tour() -> ModuleType:
    """The script that fills in the pages."""
    found = importlib.util.spec_from_file_location("make_tour", ROOT / "docs" / "make_tour.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def pages() -> list[Path]:
    """Every .md file of the repository: those that git knows or would take; without git, those at the usual places."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = set(listed.stdout.splitlines())
        return sorted(ROOT / name for name in names if (ROOT / name).exists())
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").glob("*.md")])


def python_blocks(page: str) -> list[str]:
    """The code of every block of Python."""
    return re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
