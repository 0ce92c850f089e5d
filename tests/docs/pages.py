"""The pages of the repository, and docs/make_tour.py as a module."""

from __future__ import annotations

import importlib.util
import re
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
    """Every .md file of the repository: what git knows, or else what lies beside the code."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").glob("*.md")]


def python_blocks(page: str) -> list[str]:
    """The code of every block of Python."""
    return re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
