import struct

import pyarrow as pa

from benchmarks.postgres.copy import NULL_SYMBOL, copy_bytes, storable

FORMATS = {"int2": ">h", "int4": ">i", "float4": ">f", "float8": ">d"}


def rows_of(data: bytes, types: list[str]) -> list[tuple]:
    """A plain reader of the format, field by field."""
    rows, at = [], 0
    while at < len(data):
        (count,) = struct.unpack_from(">h", data, at)
        assert count == len(types)
        at += 2
        row = []
        for name in types:
            (length,) = struct.unpack_from(">i", data, at)
            at += 4
            if length < 0:
                row.append(None)
                continue
            field = data[at : at + length]
            row.append(field.decode() if name == "text" else struct.unpack(FORMATS[name], field)[0])
            at += length
        rows.append(tuple(row))
    return rows


def test_numbers_come_back() -> None:
    table = pa.table({"a": [1, -2, 40_000], "b": [0, 1, -32], "c": [0.5, -1.25, 3.0], "d": [0.1, 1e300, -2.0]})
    types = ["int4", "int2", "float4", "float8"]
    assert rows_of(copy_bytes(table, types), types) == [
        (1, 0, 0.5, 0.1),
        (-2, 1, -1.25, 1e300),
        (40_000, -32, 3.0, -2.0),
    ]


def test_rows_with_nulls_are_all_there_with_the_nulls_in_place() -> None:
    table = pa.table({"a": [1, 2, None, 4, 5], "b": [0.5, None, 1.5, None, 2.5], "c": [7, 8, 9, 10, 11]})
    types = ["int4", "float8", "int2"]
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    assert sorted(rows_of(copy_bytes(table, types), types), key=lambda row: row[2]) == rows


def test_text_and_its_null_character() -> None:
    table = pa.table({"id": [3, 4, None], "text": ["\u00e9\u4e2d", "a\0b", None]})
    types = ["int4", "text"]
    assert rows_of(copy_bytes(table, types), types) == [(3, "\u00e9\u4e2d"), (4, f"a{NULL_SYMBOL}b"), (None, None)]
    assert storable("plain") == "plain"


def test_an_empty_table_has_no_bytes() -> None:
    assert copy_bytes(pa.table({"a": pa.array([], pa.int32())}), ["int4"]) == b""
