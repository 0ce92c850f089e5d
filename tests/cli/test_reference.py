"""docs/cli.md is what the commands say."""

from __future__ import annotations

import importlib.util

from atlas.__main__ import COMMANDS, PROGRAM
from tests.architecture.imports import ROOT


def _generator():
    found = importlib.util.spec_from_file_location("make_cli_reference", ROOT / "docs" / "make_cli_reference.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_page_is_current():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == _generator().reference(), "run: python docs/make_cli_reference.py"


def test_the_page_has_every_command():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"\n## {PROGRAM} {name}\n" in page
