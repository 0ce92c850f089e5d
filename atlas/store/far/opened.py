"""An atlas that is far away, opened for reading: a plain .duckdb file, or a published folder.

A folder becomes a database in memory with the tables of the schema: small tables hold their rows, of the others each
is made a view over its Parquet files when a statement first names it, so that opening reads no file that nobody asks.
What is asked of one neuron is asked of `near`, tables that the cards of it and its neighbours were put into: all that
there is about a neuron comes with one request.
"""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from typing import Any

import duckdb

from atlas.schema.published import is_of_neurons, published_name
from atlas.schema.statements import Layout, filled, layout_of, macros_sql, schema_sql
from atlas.schema.table import Column, Table
from atlas.schema.tables import TABLES
from atlas.store.attached import NAME, SAFE_CONFIG, limits
from atlas.store.far.cards import read_group, row_groups
from atlas.store.far.files import Files
from atlas.store.far.filesystem import place, register
from atlas.store.far.publication import Publication, PublishedFile, PublishedTable
from atlas.store.lacking import Lacking

NEAR = "near"
_MOST_GROUPS = 256
_OF_A_NEURON = re.compile(r"\blayer = \$layer AND (?:\w+\.)?neuron = \$neuron\b")
_ROWID_STRIDE = 1 << 23  # more than a file has rows
_TAIL = 65536
_WHOLE = 2**21
_THREADS = 4


def attach_far(
    files: Files, timeout_s: float | None, settings: dict[str, object] | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection whose only database is a far .duckdb file, locked in as `attached.attach` does. duckdb.Error."""
    connection = _begin(files, None, timeout_s)
    try:
        connection.execute(
            f"SET storage_block_prefetch = 'never'; ATTACH '{place('atlas')}' AS {NAME} (READ_ONLY); USE {NAME}; "
            "DETACH memory"
        )
        _lock(connection, settings)
    except BaseException:
        connection.close()
        raise
    return connection


class FarTables:
    """The database of a published folder. Any number of threads may ask."""

    def __init__(self, publication: Publication, files: Files, timeout_s: float | None) -> None:
        """Reads the file of the model. Raises duckdb.Error, AtlasFileError."""
        self._publication, self._files = publication, files
        self.manifest = publication.manifest
        self._layout = layout_of(publication.manifest)
        self._mounted = set(publication.small)
        self._groups: dict[str, list[tuple[int, int, int, int]]] = {}  # of cards: first and last neuron, bytes
        self._near: set[tuple[str, int]] = set()
        self._guard = threading.RLock()
        self.connection = _begin(files, frozenset(publication.files), timeout_s)
        try:
            self.connection.execute(
                f"ATTACH ':memory:' AS {NAME}; USE {NAME}; DETACH memory; SET parquet_metadata_cache = true; "
                "SET enable_external_file_cache = false"  # blocks are kept here (files.py), by their version
            )
            self.connection.execute(schema_sql(self._layout))
            self.connection.execute(macros_sql(self._layout))
            self._read_small()
            _words()  # read here: a sandbox opens no files later
        except BaseException:
            self.connection.close()
            raise

    def lock(self, settings: dict[str, object] | None = None) -> None:
        """Nothing but the files of the folder from here on; with the `settings` of a sandbox."""
        _lock(self.connection, settings)

    @property
    def lacking(self) -> Lacking:
        """What the schema has and the folder has not."""
        columns = [
            f"{found.table.name}.{column}"
            for found in self._publication.tables.values()
            for column in found.table.column_names()
            if column not in found.columns
        ]
        return Lacking(tuple(self._publication.lacking), tuple(columns), ())

    def has_rows(self, table: str) -> bool:
        """Whether a table has any: nothing is read for it."""
        found = self._publication.tables.get(table)
        return found is not None and found.rows > 0

    def held_by(self, table: str) -> list[str]:
        """The sites or weights that a table about neurons has rows of, in order: nothing is read for it."""
        found = self._publication.tables.get(table)
        return [] if found is None else sorted(name for name, layers in found.layers.items() if layers)

    def mount(self, sql: str, near: bool = False) -> None:
        """Make views of the large tables that a statement names, or that its views and macros name.

        `near`: not of those about neurons, of which the cards have what it asks.
        """
        named = _named(sql.lower())
        if near:
            named -= {table.name for table in self._of_cards()}
        wanted = [name for name in self._publication.tables if name.lower() in named and name not in self._mounted]
        if not wanted:
            return
        with self._guard, self.connection.cursor() as cursor:
            cursor.execute(f"USE {NAME}")
            for name in wanted:
                if name not in self._mounted:
                    self._mount(cursor, self._publication.tables[name])
                    self._mounted.add(name)

    def is_near(self, sql: str, parameters: Any) -> bool:
        """Whether all that a statement asks of tables about neurons is of one neuron, $layer and $neuron."""
        if not isinstance(parameters, dict) or not all(type(parameters.get(n)) is int for n in ("layer", "neuron")):
            return False
        known = {table.name for table in self._of_cards()} | set(_near_views())
        asked = sum(len(re.findall(rf"\b(?:FROM|JOIN)\s+{name}\b", sql)) for name in known)
        return 0 < asked == len(_OF_A_NEURON.findall(sql))

    def bring_near(self, layer: int, neuron: int) -> None:
        """Put the cards of a neuron, and of those of its row group, into the tables of `near`."""
        file = self._card_file(layer, neuron)
        with self._guard:
            if not self._near and f"{NEAR}.made" not in self._mounted:
                self.connection.execute(f"CREATE SCHEMA {NEAR}; USE {NAME}.{NEAR}; {self._near_sql()}; USE {NAME}")
                self._mounted.add(f"{NEAR}.made")
            if file is None:
                return
            for number, (first, last, start, end) in enumerate(self._groups_of(file)):
                if first <= neuron <= last and (file.path, number) not in self._near:
                    self._files.read(file.path, start, end)  # all columns in one request
                    self._fill(read_group(self._files, file.path, number))
                    self._near.add((file.path, number))

    def _near_sql(self) -> str:
        """Tables for cards, the other tables under their names, and the views that show both."""
        own = {table.name for table in self._of_cards()}
        made = [table.create() for table in self._of_cards()]
        made += [f"CREATE VIEW {name} AS FROM {NAME}.main.{name};" for name in TABLES if name not in own]
        views = [view for name, view in _statements(macros_sql(self._layout)).items() if name in _near_views()]
        return filled(" ".join(made), self._layout) + "\n".join(views)

    def _of_cards(self) -> list[Table]:
        return [table for table in TABLES.values() if is_of_neurons(table)]

    def _card_file(self, layer: int, neuron: int) -> PublishedFile | None:
        found = [file for file in self._publication.cards if file.layer == layer and (file.first_neuron or 0) <= neuron]
        file = max(found, key=lambda file: file.first_neuron or 0, default=None)
        return file if file is not None and neuron < (file.first_neuron or 0) + file.rows else None

    def _groups_of(self, file: PublishedFile) -> list[tuple[int, int, int, int]]:
        if file.path not in self._groups:
            # The words of tokens are wanted next, and come meanwhile.
            vocab = self._publication.tables["vocab"].files
            texts = [(each.path, 0, each.bytes) for each in vocab if each.bytes <= _WHOLE]
            self._files.prefetch([(file.path, max(0, file.bytes - _TAIL), file.bytes), *texts])
            self._groups[file.path] = row_groups(self._files, file.path)
        return self._groups[file.path]

    def _fill(self, cards: Any) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"USE {NAME}")
            cursor.execute("BEGIN")
            if len(self._near) >= _MOST_GROUPS:
                for table in self._of_cards():
                    cursor.execute(f"DELETE FROM {NEAR}.{table.name}")
                self._near.clear()
            there = self._publication.tables
            own = [table for table in self._of_cards() if table.name in there and there[table.name].rows]
            cursor.register("_card", cards)
            for table in own:
                columns = ", ".join(
                    f"{self._typed(_of_row(column), column)}" for column in _read_columns(table, there[table.name])
                )
                cursor.execute(
                    f"INSERT INTO {NEAR}.{table.name} BY NAME SELECT {columns} FROM "
                    f"(SELECT layer, neuron, unnest({published_name(table.name)}) AS r FROM _card)"
                )
            cursor.unregister("_card")
            cursor.execute("COMMIT")

    def _read_small(self) -> None:
        """The rows of the small tables, all out of one file."""
        file = self._publication.model_file
        self._files.read(file.path, 0, file.bytes)
        for name in self._publication.small:
            found = self._publication.tables[name]
            if not found.rows:
                continue
            columns = ", ".join(
                f'{self._typed(f"""r."{column.name}" """, column)}'
                for column in found.table.columns
                if column.name in found.columns
            )
            self.connection.execute(
                f"INSERT INTO {name} BY NAME SELECT {columns} FROM "
                f"(SELECT unnest({published_name(name)}) AS r FROM read_parquet('{place(file.path)}'))"
            )

    def _mount(self, cursor: duckdb.DuckDBPyConnection, found: PublishedTable) -> None:
        table = found.table
        if not found.rows:
            return
        columns = [
            self._typed(f'"{column.name}"' if column.name in found.columns else "NULL", column)
            for column in table.columns
        ]
        if table.name.startswith("_"):
            columns.insert(0, f"file_index::BIGINT * {_ROWID_STRIDE} + file_row_number AS rowid")
        names = ", ".join(f"'{place(file.path)}'" for file in found.files)
        cursor.execute(
            f"BEGIN; DROP TABLE {table.name}; CREATE VIEW {table.name} AS SELECT {', '.join(columns)} "
            f"FROM read_parquet([{names}], hive_partitioning = false); COMMIT"
        )

    def _typed(self, source: str, column: Column) -> str:
        return f'({source})::{filled(column.type, self._layout)} AS "{column.name}"'


def _read_columns(table: Table, found: PublishedTable) -> list[Column]:
    return [column for column in table.columns if column.name in found.columns]


def _of_row(column: Column) -> str:
    return f'"{column.name}"' if column.name in ("layer", "neuron") else f'r."{column.name}"'


def _begin(files: Files, names: frozenset[str] | None, timeout_s: float | None) -> duckdb.DuckDBPyConnection:
    config = {name: value for name, value in SAFE_CONFIG.items() if name != "enable_external_access"}
    connection = duckdb.connect(":memory:", config=config | limits(timeout_s) | {"threads": _THREADS})
    register(connection, files, names)
    return connection


def _lock(connection: duckdb.DuckDBPyConnection, settings: dict[str, object] | None) -> None:
    for name, value in (settings or {}).items():
        connection.execute(f"SET {name} = '{value}'")
    last = "" if settings else "; SET lock_configuration = true"  # a sandbox still sets the time of the statement
    connection.execute(
        f"SET allowed_directories = ['{place('')}']; SET enable_external_access = false; "
        f"SET enable_progress_bar = false{last}"
    )


def _statements(sql: str) -> dict[str, str]:
    """Name of a view or macro -> its statement."""
    found = re.finditer(r"^CREATE (?:MACRO|VIEW) (\w+).*?;$", sql, re.MULTILINE | re.DOTALL)
    return {each[1]: each[0] for each in found}


@lru_cache(maxsize=1)
def _near_views() -> tuple[str, ...]:
    """The views that show tables about neurons."""
    own = {table.name for table in TABLES.values() if is_of_neurons(table)}
    known = _statements(macros_sql(Layout(1, 1, 1, 1, 1)))
    return tuple(name for name, sql in known.items() if sql.startswith("CREATE VIEW") and own & _named(name))


@lru_cache(maxsize=1)
def _words() -> dict[str, set[str]]:
    """Name of a view or macro -> the words of its definition."""
    known = _statements(macros_sql(Layout(1, 1, 1, 1, 1)))
    return {name: set(re.findall(r"\w+", sql.lower())) for name, sql in known.items()}


def _named(sql: str) -> set[str]:
    """All words of a statement, and of the views and macros that it names, and so on."""
    named, new = set(), set(re.findall(r"\w+", sql))
    while new:
        named |= new
        new = {word for name in new & _words().keys() for word in _words()[name]} - named
    return named
