"""docs/architecture.md names what is there: every path, every registry."""

from __future__ import annotations

import ast
import re

from tests.architecture.imports import OURS, ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MAP = TEXT.partition("```\n")[2].partition("```")[0]


def paths_of_the_map() -> list[str]:
    """Every folder and file that the map names, by its indentation."""
    found, parents = [], []
    for line in MAP.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        for name in re.split(r"  +", line.strip())[0].split():
            if re.fullmatch(r"[a-z_0-9]+(/|\.py)", name):
                parents[depth:] = [name]
                found.append("".join(parents[:depth]) + name)
    return found


def test_the_map_is_the_tree():
    named = paths_of_the_map()
    assert len(named) > 25
    assert [path for path in named if not (ROOT / path).exists()] == []
    folders = {str(path.parent.relative_to(ROOT)) for package in OURS for path in (ROOT / package).rglob("__init__.py")}
    top = {folder for folder in folders if folder.count("/") == 1}
    assert top <= {path.rstrip("/") for path in named}, "a folder that the map does not show"


def test_every_path_in_the_text_is_there():
    for path in set(re.findall(r"`((?:atlas|builders|queries|tests|benchmarks|data|docs)/[\w/.]*)`", TEXT)):
        assert (ROOT / path).exists(), path


def test_every_registry_is_where_the_table_says():
    rows = re.findall(r"\| `(\w+)` of `([\w/]+\.py)` \|", TEXT)
    assert len(rows) >= 8
    for name, path in rows:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assigned = {
            target.id
            for node in tree.body
            for target in (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)])
            if isinstance(target, ast.Name)
        }
        assert name in assigned, f"{path} has no {name}"
