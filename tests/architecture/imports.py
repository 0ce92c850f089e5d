"""Reads the imports of a source file without running it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ("atlas", "builders", "queries")


@dataclass(frozen=True)
class Import:
    """`module` in full; `deferred`: it stands in a function; `typing_only`: under TYPE_CHECKING."""

    file: str
    line: int
    module: str
    deferred: bool
    typing_only: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def sources(package: str) -> list[Path]:
    """All Python files of a package, by path."""
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> list[Import]:
    """Every import of a file, also those by a literal name through import_module or require."""
    found: list[Import] = []
    name = str(path.relative_to(ROOT))

    def visit(node: ast.AST, deferred: bool, typing_only: bool) -> None:
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: write imports in full"
            # `from atlas import store` names a module as well.
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "require") and isinstance(node.args[0].value, str):
                modules = [node.args[0].value]
        found.extend(Import(name, node.lineno, module, deferred, typing_only) for module in modules)
        inside = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                visit(child, inside, True)
            for child in node.orelse:
                visit(child, inside, typing_only)
            return
        for child in ast.iter_child_nodes(node):
            visit(child, inside, typing_only)

    visit(ast.parse(path.read_text(encoding="utf-8")), False, False)
    return found
