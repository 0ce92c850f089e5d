"""Columns of stored tables that views show as they are."""

from __future__ import annotations

from atlas.schema.table import Column
from atlas.schema.tables import TABLES


def columns_of(table: str, *names: str) -> tuple[Column, ...]:
    """Columns of a stored table, as they are."""
    stored = {column.name: column for column in TABLES[table].columns}
    return tuple(stored[name] for name in names)


FIT_COLUMNS = (
    *(Column("family", "VARCHAR"), Column("concept", "VARCHAR")),
    *columns_of("fit", "site", "position"),
)
"""What tells one concept under one fit."""
