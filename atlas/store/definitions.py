"""The objects of a file must be exactly those of our schema. Made anew by: python -m atlas.store.definitions

A view in place of a table, or a macro in place of a function, would run what a stranger wrote whenever we ask.

To make our own objects and let DuckDB print them takes longer than a look-up, so the texts are kept in
definitions.txt, with the integers of a layout left open. Where a file differs from them ours are made and printed
after all: a DuckDB that prints otherwise costs time and nothing else.

An older file has what was ours when it was written: views and macros of `atlas/schema/earlier`, fewer tables, fewer
columns. `atlas.store.overlay` gives it the rest.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import duckdb

from atlas.errors import AtlasFileError
from atlas.schema.statements import Layout, earlier_sql, macros_sql, schema_sql
from atlas.schema.tables import TABLES
from atlas.store.lacking import Lacking, lacking_of
from atlas.store.objects import Object, read_objects, strange_object

ATLAS, EVALUATIONS, EARLIER = "atlas", "evaluations", "earlier"
STORED = Path(__file__).parents[1] / "schema" / "definitions.txt"

_HINT = "Rebuild it with `neuron-atlas build`, or fetch it anew; it may do more than hold an atlas. "
_HINT += "If a newer neuron-atlas wrote it, run: pip install -U neuron-atlas."
# Numbers that stand nowhere else in a definition.
_OPEN = Layout(top=90001, bins=90002, d_model=90003, n_layers=90004, width=90005)


def require_known(found: Sequence[Object], content: str, path: Path, layout: Layout = _OPEN) -> Lacking:
    """What the schema has and the file has not. Raises AtlasFileError unless every object is, or was, one of ours."""
    known, earlier = stored_objects(content, layout), _earlier(stored_objects, content, layout)
    strange = strange_object(found, known, earlier)
    if strange is not None:
        try:
            known, earlier = made_objects(content, layout), _earlier(made_objects, content, layout)
            strange = strange_object(found, known, earlier)
        except duckdb.Error as error:
            raise AtlasFileError(f"{path} states a layout that no file can have", _HINT) from error
    if strange is not None:
        kind = strange.kind.replace("_", " ")
        raise AtlasFileError(f"{path} holds a {kind} {ascii(strange.name)[:80]} that is not ours", _HINT)
    absent = _always(content) - {object.name for object in found}
    if absent:
        raise AtlasFileError(f"{path} lacks the table {min(absent)}", _HINT)
    return lacking_of(found, known)


def _always(content: str) -> set[str]:
    """The tables that every file of that content has."""
    if content == EVALUATIONS:
        return set("evaluations_file spec evaluation score".split())
    return {table.name for table in TABLES.values() if not table.later}


def identity() -> str:
    """Of the schema by which this process judges files, definitions.txt, and the tables it knows."""
    tables = "".join(table.create() for table in TABLES.values())
    return f"{STORED.stat().st_mtime_ns} {zlib.crc32(tables.encode())}"


def evaluations_sql() -> str:
    """CREATE TABLE statements of the sidecar with evaluations."""
    return STORED.with_name("evaluations.sql").read_text(encoding="utf-8")


def stored_objects(content: str, layout: Layout = _OPEN) -> list[Object]:
    """The objects of a file of that content, ATLAS or EVALUATIONS, from definitions.txt.

    Of EARLIER those that a file of ATLAS may have instead; there may be several of a name.
    """
    text = STORED.read_text(encoding="utf-8")
    for field, value in layout._asdict().items():
        text = text.replace("{" + field + "}", str(int(value)))
    rows = (line.split("\t") for line in text.splitlines())
    stored = [Object(kind, "main", name, definition) for of, kind, name, definition in rows if of == content]
    # A table that somebody has just added, and that no file can be compared with yet.
    newer = content == ATLAS and not TABLES.keys() <= {object.name for object in stored}
    return made_objects(content, layout) if newer else stored


def made_objects(content: str, layout: Layout = _OPEN) -> list[Object]:
    """The same from statements that this DuckDB executes. Raises duckdb.Error for a layout that it cannot make."""
    if content == EARLIER:
        current = set(made_objects(ATLAS, layout))
        made = {object for sql in earlier_sql(layout) for object in _made(schema_sql(layout), macros_sql(layout), sql)}
        return sorted(made - current)
    if content == EVALUATIONS:
        return _made(evaluations_sql())
    return _made(schema_sql(layout), macros_sql(layout))


def _made(*statements: str) -> list[Object]:
    return list(_made_once(statements))


@lru_cache(maxsize=32)
def _made_once(statements: tuple[str, ...]) -> tuple[Object, ...]:
    """The same statements always make the same objects, and take a fifth of a second."""
    with duckdb.connect(":memory:") as connection:
        for sql in statements:
            connection.execute(sql)
        return tuple(read_objects(connection))


def _earlier(objects: Callable[[str, Layout], list[Object]], content: str, layout: Layout) -> set[Object]:
    return set(objects(EARLIER, layout)) if content == ATLAS else set()


def stored_text() -> str:
    """The content that definitions.txt must have."""
    lines = []
    for content in (ATLAS, EARLIER, EVALUATIONS):
        for kind, _, name, text in sorted(made_objects(content)):
            for field, value in _OPEN._asdict().items():
                text = text.replace(str(value), "{" + field + "}")
            lines.append("\t".join((content, kind, name, text)))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    STORED.write_text(stored_text(), encoding="utf-8")
