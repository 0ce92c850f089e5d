"""What a database file holds besides rows: tables, views, macros and types, each as DuckDB prints its definition."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    return [Object(*row, f"{names or ''}{text or ''}") for *row, text, names in rows]


def strange_object(found: Iterable[Object], known: Iterable[Object]) -> Object | None:
    """The first of `found` that is not `known`.

    A table may lack columns that may be NULL: they were added to the schema after it was written.
    """
    definitions = {object[:3]: object.text for object in known}
    seen = set()
    for object in found:
        text = definitions.get(object[:3])
        if text is None or object[:3] in seen:  # one macro name can stand for several
            return object
        seen.add(object[:3])
        if object.text != text and not (object.kind == "table" and _is_earlier(object.text, text)):
            return object
    return None


def _is_earlier(found: str, known: str) -> bool:
    """Whether a table's definition is the known one without some of the columns that may be NULL."""
    head, _, columns = known.removesuffix(");").partition("(")
    if not (found.startswith(f"{head}(") and found.endswith(");")):
        return False
    rest = found[len(head) + 1 : -len(");")] + ", "
    for column in re.split(r", (?![^(]*\))", columns):
        if rest.startswith(f"{column}, "):
            rest = rest[len(column) + len(", ") :]
        elif column.endswith(" NOT NULL"):
            return False
    return not rest
