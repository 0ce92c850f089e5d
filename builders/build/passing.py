"""What last units are given of the rows that other units have noted for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.errors import BuildError
from atlas.store import waiting
from builders.build.product import Activations, Basis, Place, Tables

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Passing:
    """The rows of passing tables that one last unit is made of: a Noted.

    `files`: where they are among others, by table, for who sees them; else `rows`: the rows themselves.
    """

    basis: Basis
    files: Mapping[str, Sequence[Path]]
    rows: Tables | None = None

    def __call__(self, table: str) -> pa.Table:
        """Those of one table. Raises BuildError for one that is not of the basis, or that no unit has noted rows in."""
        if table not in self.basis.noted:
            raise BuildError(f"a last unit asks for rows of {table}, of which it does not say that it is made")
        if self.rows is not None and table in self.rows:
            return self.rows[table]
        if not self.files.get(table):
            raise BuildError(f"no unit has noted rows of {table}")
        return waiting.rows_where(self.files[table], self.basis.noted[table])

    def brought(self) -> Passing:
        """The same for who does not see the files: with the rows."""
        return replace(self, files={}, rows={name: self(name) for name in self.basis.noted if self.files.get(name)})


def no_place(place: Place) -> Activations:
    """Of a product that reads no labelled corpus. Raises BuildError."""
    raise BuildError(f"activations of {place.site} of layer {place.layer} are not kept, as no labelled corpus is read")
