"""What a question returns: named columns and plain rows. Arrow and pandas only on demand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from atlas.extras import require

if TYPE_CHECKING:
    import pandas
    import pyarrow


@dataclass
class Result:
    """The answer to one question.

    `rows` hold Python values in the order of `columns` (names are made unique: a, a_1).
    `notes` are remarks for a person, `truncated_by` names the flag that would lift a cut (None: complete).
    `shown` names the columns that a table prints where all of them would not fit (None: all).
    `single`: the one row is all that there ever is, so that in a Document it is an object and no array of one.
    """

    columns: list[str]
    rows: list[tuple[Any, ...]]
    notes: list[str] = field(default_factory=list)
    truncated_by: str | None = None
    shown: list[str] | None = None
    single: bool = False

    def __post_init__(self) -> None:
        self.columns = _unique(self.columns)
        self.rows = [tuple(row) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts, in order."""
        return list(self)

    def column(self, name: str) -> list[Any]:
        """The values of one column; KeyError when there is none of that name."""
        if name not in self.columns:
            raise KeyError(name)
        position = self.columns.index(name)
        return [row[position] for row in self.rows]

    def keep(self, names: list[str]) -> Result:
        """The same rows with only the columns `names`, in that order."""
        positions = [self.columns.index(name) for name in names]
        rows = [tuple(row[position] for position in positions) for row in self.rows]
        shown = None if self.shown is None else [name for name in self.shown if name in names]
        return Result(list(names), rows, self.notes, self.truncated_by, shown, self.single)

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from atlas.answers.htmltext import of_result

        return of_result(self)

    def narrow(self) -> Result:
        """The columns that a table shows."""
        return self if self.shown is None else self.keep(self.shown)

    def cut(self, limit: int, flag: str = "--limit") -> Result:
        """The first `limit` rows; says so in `truncated_by` if there were more."""
        if len(self.rows) > limit:
            self.rows = self.rows[:limit]
            self.truncated_by = flag
        return self

    def to_arrow(self) -> pyarrow.Table:
        """A pyarrow Table; column types are inferred from the values, text where they do not agree."""
        import pyarrow

        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        arrays = [_arrow_array(pyarrow, list(values)) for values in columns]
        return pyarrow.Table.from_arrays(arrays, names=self.columns)

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas DataFrame; MissingExtraError without pandas."""
        return require("pandas", extra="pandas", why="for data frames").DataFrame.from_records(
            self.rows, columns=self.columns
        )


@dataclass
class Document:
    """An answer of several tables about one thing: `fields` describe it, `sections` are its tables.

    `notes` are remarks for a person; `shown` names the fields and sections that a table prints (None: all).
    """

    fields: dict[str, Any]
    sections: dict[str, Result]
    notes: list[str] = field(default_factory=list)
    shown: list[str] | None = None

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from atlas.answers.htmltext import of_document

        return of_document(self)

    def narrow(self) -> Document:
        """The fields and sections that a table shows."""
        if self.shown is None:
            return self
        fields, sections = (
            {name: value for name, value in part.items() if name in self.shown} for part in (self.fields, self.sections)
        )
        return Document(fields, sections, self.notes)


def _arrow_array(pyarrow: Any, values: list[Any]) -> pyarrow.Array:
    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError, OverflowError):
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())


def _unique(names: list[str]) -> list[str]:
    """Each name once: a repeated `a` becomes `a_1`, then `a_2`, as DuckDB names the columns of a table."""
    unique: dict[str, None] = {}
    tried: dict[str, int] = {}  # where to go on counting: many columns of one name must not take forever
    for name in names:
        candidate, number = name, tried.get(name, 0)
        while candidate in unique:
            number += 1
            candidate = f"{name}_{number}"
        tried[name] = number
        unique[candidate] = None
    return list(unique)
