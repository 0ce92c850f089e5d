"""Tests call single commands in one way (tests/commands.py says why)."""

from __future__ import annotations

import ast

from tests.architecture.imports import ROOT


def _calls(source: str) -> set[str]:
    """Names of click's ways to call a command that a file uses."""
    names = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    return names & {"CliRunner", "make_context"}


def test_commands_are_called_with_the_names_of_help_that_the_group_gives():
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py") if _calls(path.read_text())}
    assert found == {"tests/commands.py"}
