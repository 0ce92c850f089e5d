"""Rows of a build that wait for publishing as Arrow files: one per table and unit.

Nobody asks for them before they are published, so a database would only read and write them once more. Whether a
file counts is for the staging database to say, which notes it in the transaction that ends its unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from atlas.errors import BuildError

if TYPE_CHECKING:
    import pyarrow

TABLES = ("_gaussian", "_background", "_range", "_histogram")
"""The tables whose rows wait like this."""


def write(folder: Path, table: str, unit: str, rows: pyarrow.Table) -> None:
    """Write the rows of a unit, in place of those that a killed build may have left. Raises OSError."""
    import pyarrow

    path = _path(folder, table, unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)


def read(folder: Path, table: str, units: Sequence[str]) -> pyarrow.Table | None:
    """The rows of those units, in that order, mapped into memory; None of no units.

    Raises BuildError when a file is damaged or gone.
    """
    import pyarrow

    parts = []
    for path in (_path(folder, table, unit) for unit in units):
        try:
            parts.append(pyarrow.ipc.open_file(pyarrow.memory_map(str(path))).read_all())
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise BuildError(f"{path} is damaged or gone", "Use --restart.") from error
    return pyarrow.concat_tables(parts) if parts else None


def _path(folder: Path, table: str, unit: str) -> Path:
    return folder / table / f"{quote(unit, safe='')}.arrow"
