"""What a table, a view and their columns are: the row types of the table of tables."""

from __future__ import annotations

from typing import NamedTuple

# What the rows of a table are about: what must be forgotten with it when a build makes it anew.
MODEL, WEIGHT, NEURON, FAMILY, FIT, TEXTS, RUN = "model", "weight", "neuron", "family", "fit", "texts", "run"
DESCRIPTION = "description"
ABOUT = (MODEL, WEIGHT, NEURON, FAMILY, FIT, TEXTS, DESCRIPTION, RUN)
"""TEXTS: the running text, of which an atlas has one set."""


class Column(NamedTuple):
    """One column. `type` is SQL, in which {top}, {bins} and {d_model} are integers of the file (statements.Layout).

    `unit`: of its numbers, "activation" for the model's own. A column that came later may be NULL, because older
    files lack it.
    """

    name: str
    type: str
    meaning: str = ""
    unit: str = ""
    null: bool = False

    @property
    def sql(self) -> str:
        """Its part of CREATE TABLE."""
        return f"{self.name} {self.type}{'' if self.null else ' NOT NULL'}"


class Table(NamedTuple):
    """One stored table; a name with a leading underscore is layout, one without is public (docs/schema.md).

    `about`: what its rows belong to, one of ABOUT. `key`: columns (or expressions) that no two rows share; rows are
    stored in its order. There is no PRIMARY KEY: an index costs size and load time and is not used by the questions
    we ask; sorted tables with zone maps are. Uniqueness is checked once, before publishing.

    `earlier_key`: how older files are sorted, and stay right: what questions ask is found in either order.

    `waiting`: rows of a build wait for publishing as files, because nobody asks for them before. `derived`: made from
    other tables on publishing. `later`: introduced without a new schema version, so an older atlas lacks it.
    `complete`: of a table about fits, whether it has a row for every neuron of its layers (and concept, and tau).
    `whole`: of a table with rows of neurons, whether questions read it as a whole: it is published beside the cards
    (schema/published.py), not in them. `view`: the public view that shows its columns beside those of the view's own
    tables. `counted`: whether `info` says how many rows it has, if it is public.
    """

    name: str
    about: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    earlier_key: tuple[str, ...] = ()
    meaning: str = ""
    waiting: bool = False
    derived: bool = False
    later: bool = False
    complete: bool = False
    view: str = ""
    counted: bool = True
    whole: bool = False

    @property
    def public(self) -> bool:
        """Whether it is part of the contract."""
        return not self.name.startswith("_")

    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def key_columns(self) -> tuple[str, ...]:
        """Column names of the key: without sort directions, of an expression its last operand."""
        return tuple(column.removesuffix(" DESC").split()[-1] for column in self.key)

    def values(self) -> tuple[Column, ...]:
        """The columns that are not part of the key."""
        return tuple(column for column in self.columns if column.name not in self.key_columns())

    def create(self) -> str:
        """The CREATE TABLE statement."""
        return f"CREATE TABLE {self.name} ({', '.join(column.sql for column in self.columns)});"


class View(NamedTuple):
    """One public view, whose SQL stands in macros.sql. `of`: the table that it shows.

    `rows`: SQL that counts its rows without computing them; `counted` as of a Table.
    """

    name: str
    of: str
    columns: tuple[Column, ...]
    rows: str
    meaning: str = ""
    counted: bool = True
