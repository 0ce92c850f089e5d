"""Python that pages show: it parses, and what it takes from our packages is there."""

from __future__ import annotations

import ast
import importlib

import pytest

from tests.architecture.imports import OURS, ROOT
from tests.docs.pages import pages, python_blocks


def blocks() -> list[tuple[str, str]]:
    """(page, code) of every block of Python."""
    found = []
    for page in pages():
        name = str(page.relative_to(ROOT))
        found += [(name, code) for code in python_blocks(page.read_text(encoding="utf-8"))]
    return found


def missing(code: str) -> list[str]:
    """What the code imports from our packages and is not there; SyntaxError for what is no Python."""
    wanted: list[tuple[str, str | None]] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            wanted += [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            wanted += [(alias.name, None) for alias in node.names]
    gone = []
    for module, name in wanted:
        if module.partition(".")[0] not in OURS:
            continue
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError:
            gone.append(module)
            continue
        if name is not None and not hasattr(found, name):
            gone.append(f"{module}.{name}")
    return gone


@pytest.mark.parametrize(("page", "code"), blocks(), ids=[f"{page}-{n}" for n, (page, _) in enumerate(blocks())])
def test_what_pages_import_is_there(page: str, code: str) -> None:
    assert missing(code) == []


def test_the_blocks_are_found() -> None:
    assert {"docs/python.md", "docs/interventions.md"} <= {page for page, _ in blocks()}


def test_what_is_not_there_is_found() -> None:
    code = "from atlas.errors import AtlasError, Gone\nimport atlas.gone\nimport gone\nfrom queries import gone"
    assert missing(code) == ["atlas.errors.Gone", "atlas.gone", "queries.gone"]
    with pytest.raises(SyntaxError):
        missing("from atlas import")
