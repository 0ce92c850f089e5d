"""Which tables of an atlas have rows: a statement to an empty one costs as much as one that finds something."""

from __future__ import annotations

from typing import NamedTuple

from atlas.store.reader import Atlas
from queries.session.session import session_of


class _Known(NamedTuple):
    rows: bool

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 200


def has_rows(atlas: Atlas, table: str) -> bool:
    """Whether a table of the schema has any row; asked once per open atlas. `table` is a name of ours, no visitor's.

    Of a published folder its manifest says it.
    """
    if atlas.far is not None and atlas.far.tables is not None:
        return atlas.far.tables.has_rows(table)

    def look() -> _Known:
        return _Known(bool(atlas.rows([f"SELECT 1 FROM {table} LIMIT 1"])[0]))

    return session_of(atlas).read(("has rows", table), look).rows
