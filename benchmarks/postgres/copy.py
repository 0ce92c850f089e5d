"""Arrow tables as the bytes of PostgreSQL's binary COPY: whole columns at a time, no Python loop over numbers.

The format (PostgreSQL manual, COPY, "Binary Format"): a header, then per row the number of fields (int16) and per
field its length (int32, -1 for NULL) and its bytes, big-endian; at the end an int16 of -1.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
SIZES = {"int2": ">i2", "int4": ">i4", "float4": ">f4", "float8": ">f8"}
NULL_SYMBOL = "\N{SYMBOL FOR NULL}"


def storable(text: str) -> str:
    """The text as PostgreSQL can hold it: U+0000 does not exist there, its symbol stands for it."""
    return text.replace("\0", NULL_SYMBOL)


def copy_bytes(table: pa.Table, types: list[str]) -> bytes:
    """The rows of `table`, without header and trailer; `types` are int2, int4, float4, float8 or text by column.

    Rows with the same NULLs are written together, in their order; rows of different NULLs change places. A table
    that holds text is written row by row: those are small.
    """
    if "text" in types:
        return _text_rows(table, types)
    columns = [_column(table.column(i), name) for i, name in enumerate(types)]
    null_RC = np.array([null for _, null in columns]).T
    if not null_RC.any():
        return _rows([values for values, _ in columns], types)
    patterns, which = np.unique(null_RC, axis=0, return_inverse=True)
    parts = []
    for number, pattern in enumerate(patterns):
        chosen = which.reshape(-1) == number
        present = [None if null else values[chosen] for (values, _), null in zip(columns, pattern, strict=True)]
        parts.append(_rows(present, types))
    return b"".join(parts)


def _column(column: pa.ChunkedArray, name: str) -> tuple[np.ndarray, np.ndarray]:
    null = column.is_null().to_numpy()
    filled = column.fill_null(0) if column.null_count else column
    return filled.to_numpy().astype(SIZES[name]), null


def _rows(columns: list[np.ndarray | None], types: list[str]) -> bytes:
    """Rows in which the columns that are None are NULL in every row; at least one is not."""
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for i, name in enumerate(types):
        fields.append((f"length{i}", ">i4"))
        fields += [(f"value{i}", SIZES[name])] * (columns[i] is not None)
    rows = np.empty(max(len(values) for values in columns if values is not None), np.dtype(fields))
    rows["count"] = len(types)
    for i, values in enumerate(columns):
        rows[f"length{i}"] = -1 if values is None else values.dtype.itemsize
        if values is not None:
            rows[f"value{i}"] = values
    return rows.tobytes()


def _text_rows(table: pa.Table, types: list[str]) -> bytes:
    rows = io.BytesIO()
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        rows.write(len(row).to_bytes(2))
        for field in _fields(row, types):
            rows.write((-1).to_bytes(4, signed=True) if field is None else len(field).to_bytes(4) + field)
    return rows.getvalue()


def _fields(row: tuple, types: list[str]) -> Iterator[bytes | None]:
    for value, name in zip(row, types, strict=True):
        if value is None:
            yield None
        else:
            yield storable(value).encode() if name == "text" else np.array(value, SIZES[name]).tobytes()
