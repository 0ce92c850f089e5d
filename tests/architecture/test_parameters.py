"""No function of a command line or of a question has more parameters than a reader can hold: a dataclass takes them."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.imports import ROOT, sources

MOST = 8


def exceeding(package: str) -> set[str]:
    """'file:function' of each function, method and lambda in the package with more than MOST named parameters."""
    found = set()
    for path in sources(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                given = node.args
                names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
                if len([name for name in names if name not in ("self", "cls")]) > MOST:
                    found.add(f"{path.relative_to(ROOT)}:{getattr(node, 'name', 'lambda')}")
    return found


@pytest.mark.parametrize("package", ["atlas/cli", "builders/cli", "queries"])
def test_no_function_has_more_than_eight_parameters(package: str) -> None:
    assert len(sources(package)) > 3
    assert exceeding(package) == set()


def test_the_test_can_fail() -> None:
    assert "builders/evaluation/evaluate.py:evaluate" in exceeding("builders/evaluation")
