"""What a database file holds besides rows: tables, views, macros and types, each as DuckDB prints its definition."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

import duckdb

# Nothing here may be a name that the file could define for itself: functions by their full name, no operators.
_OBJECTS = """
SELECT 'table', schema_name, table_name, sql, NULL FROM system.main.duckdb_tables() WHERE database_name = $name
UNION ALL SELECT 'view', schema_name, view_name, sql, NULL
    FROM system.main.duckdb_views() WHERE database_name = $name AND NOT internal
UNION ALL SELECT 'type', schema_name, type_name, logical_type, labels
    FROM system.main.duckdb_types() WHERE database_name = $name AND NOT internal
UNION ALL SELECT 'schema', schema_name, schema_name, NULL, NULL
    FROM system.main.duckdb_schemas() WHERE database_name = $name
UNION ALL SELECT 'sequence', schema_name, sequence_name, sql, NULL
    FROM system.main.duckdb_sequences() WHERE database_name = $name
UNION ALL SELECT 'index', schema_name, index_name, sql, NULL
    FROM system.main.duckdb_indexes() WHERE database_name = $name
UNION ALL SELECT 'trigger', schema_name, trigger_name, sql, NULL
    FROM system.main.duckdb_triggers() WHERE database_name = $name
UNION ALL SELECT function_type, schema_name, function_name, macro_definition, parameters
    FROM system.main.duckdb_functions() WHERE database_name = $name AND NOT internal"""


class Object(NamedTuple):
    """One object; `text`: its definition."""

    kind: str
    schema: str
    name: str
    text: str


def read_objects(connection: duckdb.DuckDBPyConnection) -> list[Object]:
    """Everything in the connection's database; binds and runs nothing of it. Raises duckdb.Error."""
    asked = {"name": connection.execute("SELECT system.main.current_database()").fetchall()[0][0]}
    rows = connection.execute(_OBJECTS, asked).fetchall()
    return [Object(kind, schema, name, f"{names or ''}{text or ''}") for kind, schema, name, text, names in rows]


def strange_object(found: Iterable[Object], known: Iterable[Object], earlier: Collection[Object] = ()) -> Object | None:
    """The first of `found` that is neither `known` nor one of the `earlier` definitions, word by word.

    A table may lack columns that may be NULL: they were added to the schema after it was written.
    """
    definitions = {object[:3]: object.text for object in known}
    seen = set()
    for object in found:
        text = definitions.get(object[:3])
        if object[:3] in seen:  # one macro name can stand for several
            return object
        seen.add(object[:3])
        if object.text == text or object in earlier:
            continue
        if text is None or object.kind != "table" or absent_columns(object.text, text) is None:
            return object
    return None


def absent_columns(found: str, known: str) -> list[str] | None:
    """Columns, as `name TYPE`, that the known definition of a table has beyond the one that was found.

    None where the two differ in anything else than columns that may be NULL.
    """
    head, _, _ = known.partition("(")
    if not (found.startswith(f"{head}(") and found.endswith(");")):
        return None
    rest = found[len(head) + 1 : -len(");")] + ", "
    absent = []
    for column in columns_of(known):
        if rest.startswith(f"{column}, "):
            rest = rest[len(column) + len(", ") :]
        elif column.endswith(" NOT NULL"):
            return None
        else:
            absent.append(column)
    return None if rest else absent


def columns_of(table: str) -> list[str]:
    """The columns of a table's definition, each as `name TYPE`, with NOT NULL where it may not be NULL."""
    return re.split(r", (?![^(]*\))", table.removesuffix(");").partition("(")[2])


def column_name(column: str) -> str:
    """The name of a column that is given as `name TYPE`; DuckDB quotes those that are words of SQL."""
    return column.partition(" ")[0].strip('"')
