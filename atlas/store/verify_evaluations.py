"""What must hold in the sidecar of an atlas: its tables, their references, the numbers, and the specs it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import duckdb

from atlas.errors import AtlasError
from atlas.spec.text import loads, spec_hash
from atlas.store.evaluations import open_evaluations

_COLUMNS = """SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns()
              WHERE NOT internal AND database_name = current_database() ORDER BY ALL"""
_NUMBERS = ("value", "ci_low", "ci_high", "drop_value", "drop_low", "drop_high")
_FINITE = " AND ".join(f"coalesce(isfinite({column}), true)" for column in _NUMBERS)
_RULES = {
    "a spec is kept once": "SELECT count(*) - count(DISTINCT spec_hash) FROM spec",
    "an evaluation is kept once": "SELECT count(*) - count(DISTINCT evaluation_id) FROM evaluation",
    "evaluations name a spec": "SELECT count(*) FROM evaluation ANTI JOIN spec USING (spec_hash)",
    "scores name an evaluation": "SELECT count(*) FROM score ANTI JOIN evaluation USING (evaluation_id)",
    "an arm has one score of a metric and a group": """
        SELECT count(*) - count(DISTINCT (evaluation_id, arm, metric, text_group)) FROM score""",
    "scores are finite": f"SELECT count(*) FROM score WHERE (value IS NOT NULL AND {_FINITE}) IS NOT TRUE",
    "scores count texts": "SELECT count(*) FROM score WHERE (n > 0) IS NOT TRUE",
    "intervals are in order": "SELECT count(*) FROM score WHERE ci_low > ci_high OR drop_low > drop_high",
}


def evaluation_checks(path: Path) -> Iterator[tuple[str, int]]:
    """(check, how much breaks it). Raises AtlasFileError when it is no such sidecar."""
    with open_evaluations(path) as connection:
        try:
            yield from _checks(connection)
        except duckdb.Error:
            yield "DuckDB can read the file", 1


def _checks(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, int]]:
    with duckdb.connect(":memory:") as fresh:
        fresh.execute(resources.files("atlas.schema").joinpath("evaluations.sql").read_text("utf-8"))
        due = set(fresh.execute(_COLUMNS).fetchall())
    wrong = len(due ^ set(connection.execute(_COLUMNS).fetchall()))
    yield "tables and columns are those of the schema", wrong
    if wrong:
        return
    for name, sql in _RULES.items():
        yield name, connection.execute(sql).fetchall()[0][0]
    specs = connection.execute("SELECT spec_hash, spec FROM spec").fetchall()
    yield "specs have their hash", sum(not _is_spec(text, named) for named, text in specs)


def _is_spec(text: str, named: str) -> bool:
    try:
        return spec_hash(loads(text)) == named
    except AtlasError:
        return False
