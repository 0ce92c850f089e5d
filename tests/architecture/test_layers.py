"""Who may import whom. One row a layer; the most specific row that fits a file holds for it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import pytest

from tests.architecture.imports import OURS, ROOT, imports, sources


@dataclass(frozen=True)
class Layer:
    """`path`: file or folder. `ours`: module prefixes it may import. `top`: third parties at module level.

    `never`: what it may not import even inside a function.
    """

    path: str
    ours: tuple[str, ...]
    top: tuple[str, ...]
    never: tuple[str, ...] = field(default=())


LAYERS = (
    # The front door names every command by text, and asks click for its exceptions when it runs.
    Layer("atlas/__main__.py", ("atlas",), (), ("torch", "duckdb", "builders", "queries")),
    Layer("atlas/answers", ("atlas",), ("rich",), ("torch", "duckdb", "click", "atlas.store", "atlas.live")),
    Layer("atlas/cli", ("atlas",), ("click",), ("torch", "duckdb", "atlas.store", "atlas.live")),
    Layer("atlas/store", ("atlas",), ("duckdb",), ("torch", "transformers", "click", "atlas.live")),
    Layer(
        "atlas/live",
        ("atlas",),
        ("torch", "transformers", "safetensors"),  # headers are checked before transformers sees the file
        ("duckdb", "click", "atlas.store", "builders", "queries"),
    ),
    Layer("atlas", ("atlas",), (), ("torch", "numpy", "pyarrow", "duckdb", "click", "atlas.store", "atlas.live")),
    Layer("builders/cli", ("atlas", "builders"), ("click",), ("queries", "torch")),
    # A sweep asks what `neuron-atlas spec` asks, many times; make_spec only reads, so it is not written twice.
    Layer(
        "builders/evaluation/sweep.py",
        ("atlas", "builders", "queries.specs.make_spec"),
        (),
        ("torch", "transformers", "click"),
    ),
    # Kernels are decorated when the module is read; it is only read on a GPU.
    Layer("builders/decoding/topk/cuda.py", ("builders",), ("torch", "triton"), ("queries", "click")),
    Layer("builders", ("atlas", "builders"), ("torch", "numpy", "scipy", "pyarrow"), ("queries", "click")),
    Layer("queries/cli", ("atlas", "queries"), ("click",), ("builders", "atlas.live", "torch", "transformers")),
    Layer(
        "queries",
        ("atlas", "queries"),
        (),
        ("builders", "atlas.live", "torch", "transformers", "click", "rich"),
    ),
)


def _layer_of(file: str) -> Layer:
    fitting = [row for row in LAYERS if file == row.path or file.startswith(row.path + "/")]
    return max(fitting, key=lambda row: len(row.path))


def _is_within(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("package", OURS)
def test_imports_follow_the_layers(package):
    wrong = []
    for path in sources(package):
        layer = _layer_of(str(path.relative_to(ROOT)))
        for found in imports(path):
            if found.typing_only:
                continue
            if _is_within(found.module, layer.never):
                wrong.append(str(found))
            elif found.top in OURS:
                if not _is_within(found.module, layer.ours):
                    wrong.append(str(found))
            elif not found.deferred and found.top not in sys.stdlib_module_names and found.top not in layer.top:
                wrong.append(f"{found} at module level")
    assert not wrong, "\n".join(wrong)


def test_only_the_store_and_the_sandbox_open_databases():
    allowed = ("atlas/store/", "queries/sandbox")
    users = {
        found.file
        for package in OURS
        for path in sources(package)
        for found in imports(path)
        if found.top == "duckdb" and not found.typing_only
    }
    assert {file for file in users if not file.startswith(allowed)} == set()


def test_package_files_are_empty():
    full = [
        str(path.relative_to(ROOT))
        for package in OURS
        for path in sources(package)
        if path.name == "__init__.py" and path.read_text(encoding="utf-8").strip()
    ]
    assert full == []


def test_no_file_is_longer_than_300_lines():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for package in OURS
        for path in sources(package)
    }
    assert {file: length for file, length in lengths.items() if length > 300} == {}
