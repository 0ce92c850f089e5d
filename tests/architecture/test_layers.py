"""Who may import whom. One row a layer; the most specific row that fits a file holds for it."""

from __future__ import annotations

import sys

import pytest

from tests.architecture import layers
from tests.architecture.imports import OURS, ROOT, imports, sources
from tests.architecture.layers import LAYERS, Layer


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


# Of these packages others import what lies in `atlas`: theirs is the only place that runs when `atlas` is not ours.
GUARDS = {"builders/__init__.py": '("atlas", "queries")', "queries/__init__.py": '("atlas")'}


def test_package_files_are_empty():
    full = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for package in OURS
        for path in sources(package)
        if path.name == "__init__.py" and path.read_text(encoding="utf-8").strip()
    }
    assert full.keys() == GUARDS.keys()
    parts = {full[file].partition("_name_clash.require_ours") for file in GUARDS}
    assert len({guard for guard, _, _ in parts}) == 1, "the same, but for the names"
    assert all(full[file].endswith(f"_name_clash.require_ours{names}\n") for file, names in GUARDS.items())
    assert len(full["builders/__init__.py"].splitlines()) <= 12


def test_what_is_read_by_its_path_imports_nothing_of_ours_at_once():
    """It runs where those names are somebody else's."""
    files = ("atlas/neuron_atlas.py", "atlas/name_clash.py", *GUARDS)
    assert [found for file in files for found in imports(ROOT / file) if found.top in OURS and not found.deferred] == []


def test_no_file_is_longer_than_300_lines():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for package in OURS
        for path in sources(package)
    }
    assert {file: length for file, length in lengths.items() if length > 300} == {}


def test_the_page_shows_the_layers():
    text = layers.PAGE.read_text(encoding="utf-8")
    assert layers.page(text) == text, "run: python -m tests.architecture.layers"
