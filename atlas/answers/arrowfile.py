"""The columnar formats: Parquet, and the Arrow IPC file (also called Feather 2)."""

from __future__ import annotations

from typing import BinaryIO

from atlas.answers.result import Result


def write_parquet(result: Result, stream: BinaryIO) -> None:
    """A Parquet file."""
    from pyarrow import parquet

    parquet.write_table(result.to_arrow(), stream)


def write_arrow(result: Result, stream: BinaryIO) -> None:
    """An Arrow IPC file."""
    from pyarrow import ipc

    table = result.to_arrow()
    with ipc.new_file(stream, table.schema) as file:
        file.write_table(table)
