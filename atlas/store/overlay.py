"""Makes an older file look like one of today: what it lacks stands in the TEMP schema of each connection.

DuckDB looks there first for a name without a schema, so every question, and the SQL of a user, finds the tables,
columns, views and macros of today's schema, whatever the age of the file. A table that the file lacks is empty, a
column that it lacks is NULL; the views are today's, over both. The file itself is not touched, and a file that lacks
nothing gets no overlay. Of the views and macros only those are made that differ, or name something that is made: each
of them costs a connection a third of a millisecond.

An overlay is made of our own statements alone: the file decides which, and nothing of what they say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from atlas.schema.expert_tables import EXPERT_NAMES
from atlas.schema.statements import Layout, as_kind, macros_sql
from atlas.store.definitions import ATLAS, stored_objects
from atlas.store.lacking import Lacking
from atlas.store.objects import column_name, columns_of

_STATEMENT = re.compile(r"^CREATE (?:MACRO|VIEW) (\w+).*?;$", re.MULTILINE | re.DOTALL)


def overlay_sql(lacking: Lacking, layout: Layout, database: str) -> str:
    """Statements for each connection to the file, which SQL knows as `database`; '' where it lacks nothing."""
    if not lacking:
        return ""
    known = _tables(layout)
    return "\n".join(
        [*_empty(lacking.tables, known), *_widened(lacking, known, database), *_definitions(lacking, layout)]
    )


def columns_sql(lacking: Lacking, layout: Layout, database: str) -> str:
    """Only what gives the tables of the file the columns that it lacks, and tables that rules of others ask."""
    known = _tables(layout)
    asked = [table for table in lacking.tables if table in EXPERT_NAMES]
    return "\n".join([*_empty(asked, known), *_widened(lacking, known, database)])


def _tables(layout: Layout) -> dict[str, str]:
    """Name -> CREATE TABLE statement of every table of the schema."""
    return {object.name: object.text for object in stored_objects(ATLAS, layout) if object.kind == "table"}


def _empty(tables: Iterable[str], known: dict[str, str]) -> Iterator[str]:
    return (known[table].replace("CREATE TABLE ", "CREATE TEMP TABLE ", 1) for table in tables)


def _definitions(lacking: Lacking, layout: Layout) -> list[str]:
    """The views and macros that are lacking, and those that say anything by a name that the overlay gives."""
    statements = {found[1]: found[0] for found in _STATEMENT.finditer(macros_sql(layout))}
    words = {name: set(re.findall(r"\w+", sql)) for name, sql in statements.items()}
    given = {*lacking.tables, *_short_tables(lacking), *lacking.definitions}
    while more := {name for name in words if name not in given and words[name] & given}:
        given |= more
    return [as_kind("TEMP", sql) for name, sql in statements.items() if name in given]


def _short_tables(lacking: Lacking) -> list[str]:
    return list(dict.fromkeys(name.partition(".")[0] for name in lacking.columns))


def _widened(lacking: Lacking, known: dict[str, str], database: str) -> Iterator[str]:
    """A view in place of each table that lacks columns, with NULL for those."""
    quoted = database.replace('"', '""')
    for table in _short_tables(lacking):
        columns = []
        for column in columns_of(known[table]):
            name, _, kind = column.partition(" ")
            absent = f"{table}.{column_name(column)}" in lacking.columns
            columns.append(f"NULL::{kind} AS {name}" if absent else name)
        if table.startswith("_"):  # questions join the tables of the layout with themselves by this number
            columns.insert(0, "rowid")
        yield f'CREATE TEMP VIEW {table} AS SELECT {", ".join(columns)} FROM "{quoted}".main.{table};'
