"""Columns of a table as numpy arrays, in stored order and a batch of rows at a time, and what they say of its order.

Numpy compares neighbours ten times as fast as SQL, which has to join a table with itself for it.
Axes: B rows of a batch, K tokens of a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import duckdb

from atlas.schema.keys import KEYS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_ROWS = 131_072  # read at a time
_VALUES = 1 << 19  # of a list column, read at a time


def read_columns(connection: duckdb.DuckDBPyConnection, select: str, rows: int = _ROWS) -> Iterator[list[np.ndarray]]:
    """Columns of a query, one [B] array each; of fixed-size lists their values, one list after another [B x K]."""
    for batch in connection.sql(select).to_arrow_reader(rows):
        yield [_values(column) for column in batch.columns]


def read_lists(connection: duckdb.DuckDBPyConnection, columns: str, top: int) -> Iterator[list[np.ndarray]]:
    """`read_columns` of list columns of `_decoding`, which have `top` values a row."""
    return read_columns(connection, f"SELECT {columns} FROM _decoding", max(1, _VALUES // top))


def _values(column: pa.Array) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    elif pa.types.is_dictionary(column.type):  # an ENUM: its order is that of its codes
        column = column.indices
    return column.to_numpy(zero_copy_only=False)


def misplaced_rows(connection: duckdb.DuckDBPyConnection, table: str, source: str = "") -> int:
    """How many rows of a table do not come after the row before them in the order of its key, strictly.

    None: the table is sorted and its keys are unique. `source`: where SQL finds the rows, if not in that table.
    """
    import numpy as np

    # A column that runs backwards is a number.
    keys = [f"-{key.removesuffix(' DESC')}" if key.endswith(" DESC") else key for key in KEYS[table]]
    misplaced, last = 0, None
    for columns in read_columns(connection, f"SELECT {', '.join(keys)} FROM {source or table}"):
        if last is not None:
            columns = [np.concatenate(pair) for pair in zip(last, columns, strict=True)]
        last = [column[-1:] for column in columns]
        later_B = np.zeros(len(columns[0]) - 1, bool)
        for column in reversed(columns):
            later_B = (column[1:] > column[:-1]) | (column[1:] == column[:-1]) & later_B
        misplaced += len(later_B) - np.count_nonzero(later_B)
    return misplaced


def unsorted_tokens(connection: duckdb.DuckDBPyConnection, top: int) -> int:
    """How many neighbours in the lists of `_decoding` are not from strong to weak, equal logits by token id."""
    import numpy as np

    unsorted = 0
    for lists in read_lists(connection, "raised_token, raised_logit, lowered_token, lowered_logit", top):
        raised_BK, raised_logit_BK, lowered_BK, lowered_logit_BK = (values.reshape(-1, top) for values in lists)
        for token_BK, logit_BK in ((raised_BK, raised_logit_BK), (lowered_BK, -lowered_logit_BK)):
            before_BK, after_BK = logit_BK[:, :-1], logit_BK[:, 1:]
            tie_BK = before_BK == after_BK
            sorted_BK = (before_BK > after_BK) | tie_BK & (token_BK[:, :-1] < token_BK[:, 1:])
            unsorted += sorted_BK.size - np.count_nonzero(sorted_BK)
    return unsorted
