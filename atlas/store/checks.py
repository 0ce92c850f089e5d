"""Whether what builders promise of the rows of an atlas holds in an open file: before publishing, and in `verify`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from itertools import chain

import duckdb

from atlas.errors import BuildError
from atlas.schema.rule import Counted
from atlas.schema.rules import RULES, further_rules
from atlas.schema.statements import Layout, filled
from atlas.schema.tables import TABLES
from atlas.store.digests import TABLE, write_digests
from atlas.store.scan import Scan


def check(connection: duckdb.DuckDBPyConnection, layout: Layout, readings: Mapping[str, Future[Scan]]) -> None:
    """Raise BuildError naming the first rule that the open database breaks; store digests of one that breaks none.

    `readings`: of all `scanned_tables()`, perhaps still at work.
    """
    asked = list(ask_rules(connection, layout))
    scans = {table: readings[table].result() for table in scanned_tables()}
    for table, scan in scans.items():
        if scan.misplaced:
            keys = ", ".join(TABLES[table].key_columns())
            raise BuildError(
                f"the built table {table} has {scan.misplaced} repeated keys or rows out of order ({keys})",
                "Nothing was published.",
            )
    for rule, broken in chain(list_rules(scans), asked, mirror_rule(scans, layout)):
        if broken:
            raise BuildError(f"the built atlas breaks the rule {rule!r} ({broken} rows)", "Nothing was published.")
    write_digests(connection, {table: (scan.rows, scan.digests) for table, scan in scans.items()})


def scanned_tables() -> list[str]:
    """All tables that have digests."""
    return [table for table in TABLES if table != TABLE]


def ask_rules(
    connection: duckdb.DuckDBPyConnection, layout: Layout, without: Collection[str] = ()
) -> Iterator[tuple[str, int]]:
    """(rule, rows that break it) of every rule that SQL can ask, one query a source, none about tables `without`.

    Raises duckdb.Error.
    """
    for asked in (*RULES, *further_rules()):
        text = asked.sql if isinstance(asked, Counted) else asked.source
        if any(re.search(rf"\b{table}\b", text) for table in without):
            continue
        if isinstance(asked, Counted):
            yield asked.name, connection.execute(filled(asked.sql, layout)).fetchall()[0][0]
            continue
        # What is NULL is not true.
        counts = ", ".join(f"count(*) FILTER (({predicate}) IS NOT TRUE)" for predicate in asked.rules.values())
        found = connection.execute(filled(f"SELECT {counts} FROM {asked.source}", layout)).fetchall()[0]
        yield from zip(asked.rules, found, strict=True)


def list_rules(scans: Mapping[str, Scan]) -> Iterator[tuple[str, int]]:
    """(rule, how much breaks it) of what the readings of the tables looked at inside lists."""
    for scan in scans.values():
        yield from scan.broken.items()


def mirror_rule(scans: Mapping[str, Scan], layout: Layout) -> Iterator[tuple[str, int]]:
    """Whether `_posting` says what `_decoding` says: how many postings are missing, 1 where it says something else."""
    decodings, postings = scans["_decoding"], scans["_posting"]
    missing = abs(postings.rows - 2 * layout.top * decodings.rows)
    yield "postings mirror the decodings", missing or int(decodings.facts != postings.facts)
