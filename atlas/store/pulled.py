"""Rows of Parquet files that were published, as rows of a staging area: types are those of the schema, or an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from atlas.errors import AtlasFileError
from atlas.schema.published import published_name
from atlas.schema.statements import Layout, filled
from atlas.schema.table import Table
from atlas.store.files import full_name
from atlas.store.staging import Staging


def fill(
    staging: Staging, table: Table, columns: Sequence[str], files: Sequence[Path], cards: bool, layout: Layout
) -> int:
    """Rows of a table from its files, or from `cards`, in the order of its key; returns how many it has then.

    `columns`: those that were published; others are NULL. AtlasFileError where the files hold anything else.
    """
    chosen = [column for column in table.columns if column.name in columns]
    said = ", ".join(
        filled(f'{_from(column.name, cards)}::{column.type} AS "{column.name}"', layout) for column in chosen
    )
    if files:
        source = parquet(files)
        if cards:
            own = published_name(table.name)
            source = f'(SELECT layer, neuron, unnest("{own}") AS r FROM {source})'
        order = ", ".join(table.key)
        sql = f"INSERT INTO {table.name} BY NAME SELECT * FROM (SELECT {said} FROM {source}) ORDER BY {order}"
        try:
            staging.execute_once(f"pull/{table.name}", [(sql, [])])
        except duckdb.Error as error:
            text = " ".join(str(error).split())[:200]
            raise AtlasFileError(f"the files of {published_name(table.name)} do not fit: {text}") from error
    rows: int = staging.rows(f"SELECT count(*) FROM {table.name}")[0][0]
    return rows


def parquet(files: Sequence[Path | str]) -> str:
    """SQL that reads files as one."""
    names = [each if isinstance(each, str) else full_name(each) for each in files]
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    return f"read_parquet([{quoted}], hive_partitioning = false)"


def _from(name: str, cards: bool) -> str:
    return f'r."{name}"' if cards and name not in ("layer", "neuron") else f'"{name}"'
