"""docs/cli.md is what the commands say."""

from __future__ import annotations

import importlib.util
import re

import pytest

from atlas.__main__ import COMMANDS, PROGRAM, main
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


@pytest.mark.parametrize("name", ["concept", "token", "neuron", "layer"])
def test_help_says_what_reads_and_writes_mean(name: str, capfd) -> None:
    assert main([name, "--help"]) == 0
    text = " ".join(capfd.readouterr().out.split())
    assert re.search(r"reads?\b.*(responds to|open)", text) and re.search(r"writes?\b.*makes likelier", text)
