"""Rows of a build that wait for publishing as Arrow files: one per table and unit.

Nobody asks for them before they are published, so a database would only read and write them once more. Whether a
file counts is for the staging database to say, which notes it in the transaction that ends its unit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from atlas.errors import BuildError

if TYPE_CHECKING:
    import pyarrow


def write(folder: Path, table: str, unit: str, rows: pyarrow.Table) -> None:
    """Write the rows of a unit, in place of those that a killed build may have left. Raises OSError."""
    import pyarrow

    path = _path(folder, table, unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)


def files(folder: Path, table: str, units: Sequence[str]) -> list[Path]:
    """The files of those units, in that order. Raises BuildError when one is damaged or gone."""
    import pyarrow

    found = [_path(folder, table, unit) for unit in units]
    for path in found:
        try:
            with pyarrow.memory_map(str(path)) as file:
                pyarrow.ipc.open_file(file)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise BuildError(f"{path} is damaged or gone", "Use --restart.") from error
    return found


def read(found: Sequence[Path]) -> pyarrow.RecordBatchReader:
    """The rows of at least one file, one file after another: no more than a few are in memory at a time."""
    import pyarrow

    def batches() -> Iterator[pyarrow.RecordBatch]:
        for path in found:
            with pyarrow.memory_map(str(path)) as file:
                rows = pyarrow.ipc.open_file(file)
                yield from (rows.get_batch(index) for index in range(rows.num_record_batches))

    with pyarrow.memory_map(str(found[0])) as file:
        schema = pyarrow.ipc.open_file(file).schema
    return pyarrow.RecordBatchReader.from_batches(schema, batches())


def rows_where(found: Sequence[Path], where: Mapping[str, Collection[object]]) -> pyarrow.Table:
    """The rows of at least one file that have one of the values given for each column of `where`; all without any.

    Of the others only those columns are read. Rows that are not copied stay mapped from the files.
    """
    import pyarrow
    import pyarrow.compute as pc

    reader = read(found)
    if not where:
        return reader.read_all()
    values = {name: pyarrow.array(those, reader.schema.field(name).type) for name, those in where.items()}
    kept = []
    for batch in reader:
        for name, those in values.items():
            batch = batch.filter(pc.is_in(batch[name], those))
        kept += [batch] if len(batch) else []
    return pyarrow.Table.from_batches(kept, reader.schema)


def _path(folder: Path, table: str, unit: str) -> Path:
    return folder / table / f"{quote(unit, safe='')}.arrow"
