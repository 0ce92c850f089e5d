"""The DDL of an atlas file with its integers filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from atlas.manifest import Manifest
from atlas.schema.table import Table
from atlas.schema.tables import TABLES, WEIGHT_TYPE

JOINED = {"concept_gaussian": "g", "background_gaussian": "b", "concept_range": "r"}
"""The views that show further tables, and what each calls the table that has its rows."""

EARLIER = Path(__file__).with_name("earlier")


class Layout(NamedTuple):
    """The integers that the DDL needs: list lengths and the strides of `nid`."""

    top: int
    bins: int
    d_model: int
    n_layers: int
    width: int  # stride of a layer in nid: d_mlp


def layout_of(manifest: Manifest) -> Layout:
    """The layout of the atlas that says this of itself."""
    return Layout(manifest.top, manifest.bins, manifest.d_model, manifest.n_layers, manifest.d_mlp)


def schema_sql(layout: Layout) -> str:
    """CREATE TYPE and CREATE TABLE statements."""
    return filled("\n".join([WEIGHT_TYPE, *(table.create() for table in TABLES.values())]), layout)


def macros_sql(layout: Layout, most: int | None = None) -> str:
    """CREATE MACRO and CREATE VIEW statements; a view shows the tables that name it beside its own, at most `most`."""
    sql = _read("macros.sql")
    for view, base in JOINED.items():
        shown = _shown_in(view)[:most]
        columns = [f", {table.name}.{column.name}" for table in shown for column in table.values()]
        joins = [
            f"LEFT JOIN {table.name} ON " + " AND ".join(f"{table.name}.{key} = {base}.{key}" for key in table.key)
            for table in shown
        ]
        sql = sql.replace(f"{{columns of {view}}}", "".join(columns)).replace(f"{{joins of {view}}}", " ".join(joins))
    return filled(sql, layout)


def earlier_sql(layout: Layout) -> list[str]:
    """What macros.sql said before: statements of `earlier/`, a file each, that take the place of those of today.

    And the views of today as they were before each table came that they show.
    """
    before = [filled(file.read_text(encoding="utf-8"), layout) for file in sorted(EARLIER.glob("*.sql"))]
    before += [macros_sql(layout, most) for most in range(max(len(_shown_in(view)) for view in JOINED))]
    return [as_kind("OR REPLACE", sql) for sql in before]


def _shown_in(view: str) -> list[Table]:
    """The further tables that a view shows, in the order in which they came."""
    return [table for table in TABLES.values() if table.view == view]


def as_kind(word: str, sql: str) -> str:
    """CREATE MACRO and CREATE VIEW statements as CREATE `word` MACRO and so on: OR REPLACE, TEMP."""
    return re.sub(r"^CREATE (?=MACRO |VIEW )", f"CREATE {word} ", sql, flags=re.MULTILINE)


def filled(sql: str, layout: Layout) -> str:
    """A statement with the integers in place of their names."""
    for field, value in layout._asdict().items():
        # int() is what keeps anything but a number out of the statement.
        sql = sql.replace("{" + field + "}", str(int(value)))
    return sql


def _read(name: str) -> str:
    # Not by importlib.resources, whose import takes as long as a look-up: opening an atlas comes this way.
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
