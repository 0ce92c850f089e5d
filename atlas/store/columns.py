"""Columns of a table as numpy arrays, in stored order and a batch of rows at a time, and what they say of its order.

Numpy compares neighbours ten times as fast as SQL, which has to join a table with itself for it.
Axes: B rows of a batch, K tokens of a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import duckdb

from atlas.schema.tables import TABLES

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_ROWS = 131_072  # read at a time
_VALUES = 1 << 19  # of a list column, read at a time


def read_columns(connection: duckdb.DuckDBPyConnection, select: str, rows: int = _ROWS) -> Iterator[list[np.ndarray]]:
    """Columns of a query, one [B] array each; of fixed-size lists their values, one list after another [B x K]."""
    for batch in connection.sql(select).to_arrow_reader(rows):
        yield [values_of(column) for column in batch.columns]


def read_lists(connection: duckdb.DuckDBPyConnection, columns: str, top: int) -> Iterator[list[np.ndarray]]:
    """`read_columns` of list columns of `_decoding`, which have `top` values a row."""
    return read_columns(connection, f"SELECT {columns} FROM _decoding", rows_at_once(top))


def rows_at_once(values: int) -> int:
    """How many rows of a table to read at a time whose lists have `values` values in all."""
    return max(1, min(_ROWS, _VALUES // max(1, values)))


def values_of(column: pa.Array) -> np.ndarray:
    """A column of a batch: [B], or of fixed-size lists [B x K]. NULLs make numbers of another type."""
    import pyarrow as pa

    if pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    elif pa.types.is_dictionary(column.type):  # an ENUM: its order is that of its codes
        column = column.indices
    elif pa.types.is_string(column.type):  # compared as DuckDB compares text; and it need not be UTF-8
        column = column.cast(pa.binary())
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values


def order_by(keys: Iterable[str]) -> list[str]:
    """The key of a table as SQL expressions that all ascend: a column that runs backwards is a number."""
    return [f"-{key.removesuffix(' DESC')}" if key.endswith(" DESC") else key for key in keys]


class Order:
    """How many rows do not come after the row before them, strictly. None: they are sorted and differ."""

    def __init__(self) -> None:
        self.misplaced = 0
        self._last: list[np.ndarray] | None = None

    def add(self, columns: list[np.ndarray]) -> None:
        """Take the keys of the next rows: one [B] array each, the first decides."""
        import numpy as np

        if self._last is not None:
            columns = [np.concatenate(pair) for pair in zip(self._last, columns, strict=True)]
        self._last = [column[-1:] for column in columns]
        later_B = np.zeros(len(columns[0]) - 1, bool)
        for column in reversed(columns):
            later_B = (column[1:] > column[:-1]) | (column[1:] == column[:-1]) & later_B
        self.misplaced += len(later_B) - int(np.count_nonzero(later_B))


def misplaced_rows(
    connection: duckdb.DuckDBPyConnection, table: str, source: str = "", keys: Sequence[str] = ()
) -> int:
    """How many rows of a table do not come after the row before them in the order of its key, strictly.

    `source`: where SQL finds the rows, if not in that table; `keys`: another key than that of the table.
    """
    order = Order()
    ascending = order_by(keys or TABLES[table].key)
    for columns in read_columns(connection, f"SELECT {', '.join(ascending)} FROM {source or table}"):
        order.add(columns)
    return order.misplaced


def unsorted_tokens(token_BK: np.ndarray, falling_BK: np.ndarray) -> int:
    """How many neighbours in lists of tokens are not from strong to weak, equally strong ones by token id."""
    import numpy as np

    before_BK, after_BK = falling_BK[:, :-1], falling_BK[:, 1:]
    tie_BK = before_BK == after_BK
    sorted_BK = (before_BK > after_BK) | tie_BK & (token_BK[:, :-1] < token_BK[:, 1:])
    return int(sorted_BK.size - np.count_nonzero(sorted_BK))
