"""docs/schema.md says what is in the file: every public table, view and column, with its type, and no other."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from atlas.store.reader import open_atlas
from tests.atlas_factory import D_MODEL, write_small_atlas

PAGE = Path(__file__).parents[3] / "docs" / "schema.md"


def test_the_generated_part_is_what_the_tables_say() -> None:
    spec = importlib.util.spec_from_file_location("make_schema_reference", PAGE.with_name("make_schema_reference.py"))
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    text = PAGE.read_text(encoding="utf-8")
    assert maker.page(text) == text, "run: python docs/make_schema_reference.py"


def documented() -> dict[str, list[tuple[str, str]]]:
    tables: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"### (\w+)", line):
            name = heading[1]
            tables[name] = []
        elif row := re.match(r"\| (\w+) \| ([^|]+) \|", line):
            if name and row[1] != "column":
                tables[name].append((row[1], row[2].strip()))
        elif line.startswith("## "):
            name = ""
    return tables


def test_the_page_lists_every_public_column(tmp_path: Path) -> None:
    with open_atlas(write_small_atlas(tmp_path / "a.duckdb")) as atlas:
        _, rows = atlas.query(
            """SELECT c.table_name, column_name, data_type FROM duckdb_columns() AS c
               WHERE NOT internal AND NOT starts_with(c.table_name, '_') ORDER BY c.table_name, column_index"""
        )
    stored: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in rows:
        kind = "weight_t" if kind.startswith("ENUM") else kind.replace(f"[{D_MODEL}]", "[d_model]")
        stored.setdefault(table, []).append((column, kind))
    assert documented() == stored


def test_the_page_lists_every_public_macro(tmp_path: Path) -> None:
    with open_atlas(write_small_atlas(tmp_path / "a.duckdb")) as atlas:
        _, rows = atlas.query(
            """SELECT DISTINCT function_name FROM duckdb_functions()
               WHERE NOT internal AND NOT starts_with(function_name, '_')"""
        )
    macros = PAGE.read_text(encoding="utf-8").partition("## Macros")[2].partition("```")[0]
    assert set(re.findall(r"(\w+)\(", macros)) == {name for (name,) in rows}
