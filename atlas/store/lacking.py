"""What the schema of today has and an older file has not: what may be said of it, and kept with a mark."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from atlas.store.objects import Object, absent_columns, column_name


class Lacking(NamedTuple):
    """Names, in the order of the schema; false where nothing is lacking."""

    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """As `table.column`; of tables that are there."""
    definitions: tuple[str, ...] = ()
    """Views and macros that are absent, or that were ours before the ones of today."""

    def __bool__(self) -> bool:
        return bool(self.tables or self.columns or self.definitions)

    def __contains__(self, name: object) -> bool:
        """Whether the table, or the `table.column`, is not in the file."""
        return name in self.tables or name in self.columns or str(name).partition(".")[0] in self.tables


def lacking_of(found: Iterable[Object], known: Iterable[Object]) -> Lacking:
    """What of the `known` objects was not `found`; a table that was found may be short of columns, and no more."""
    texts = {object[:3]: object.text for object in found}
    tables, columns, definitions = [], [], []
    for object in known:
        there = texts.get(object[:3])
        if object.kind not in ("table", "type", "schema"):
            definitions += [object.name] if there != object.text else []
        elif object.kind == "table" and there is None:
            tables.append(object.name)
        elif object.kind == "table" and there is not None:
            columns += [f"{object.name}.{column_name(column)}" for column in absent_columns(there, object.text) or ()]
    return Lacking(tuple(tables), tuple(columns), tuple(definitions))


def as_words(lacking: Lacking) -> str:
    """One line that `from_words` reads; '' where nothing is lacking."""
    return " ".join(",".join(names) or "-" for names in lacking) if lacking else ""


def from_words(text: str) -> Lacking | None:
    """The inverse of `as_words`; None for any other text."""
    if not text:
        return Lacking()
    parts = [tuple(() if part == "-" else part.split(",")) for part in text.split(" ")]
    return Lacking(*parts) if len(parts) == 3 and any(parts) else None
