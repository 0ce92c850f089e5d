"""Rows that no builder writes: a question over them answers or refuses, and `verify` says what is wrong with them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from atlas.schema import tables
from atlas.store.verify import BROKEN, checks_of
from tests.atlas_factory import write_small_atlas
from tests.hostile.counts import count, generator
from tests.hostile.questions import ANSWERED, QUESTIONS, foreign, outcomes

CASES = count(5, 150)
NUMBERS = ("-1", "2147483647", "-2147483648", "0", "123456")
FLOATS = ("'nan'", "'inf'", "'-inf'", "-1e30", "3e38")
TABLES = [table for table in tables.TABLES if table not in ("_digest", "run", "neuron_vector", "_fit_example")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("whole") / "a.duckdb")


def mangle(path: Path, rng: random.Random, tables: Sequence[str] = TABLES) -> str:
    """Change some values of one column of one of `tables` by plain DuckDB; returns the statements."""
    with duckdb.connect(str(path)) as connection:
        table = rng.choice(tables)
        columns = connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table]
        ).fetchall()
        column, kind = rng.choice(columns)
        some = rng.choice(["", f" WHERE rowid % {rng.choice([2, 7, 50])} = 0"])
        ways = ["null", "null", "type", "delete", "repeat", "value", "value"]
        way = rng.choice(ways)
        statements = {
            "null": [f"ALTER TABLE {table} ALTER {column} DROP NOT NULL", f"UPDATE {table} SET {column} = NULL{some}"],
            "type": [f"ALTER TABLE {table} ALTER {column} TYPE VARCHAR"],
            "delete": [f"DELETE FROM {table}{some}"],
            "repeat": [f"INSERT INTO {table} SELECT * FROM {table}{some}"],
            "value": [f"UPDATE {table} SET {column} = {_value(kind, rng)}{some}"],
        }[way]
        done = []
        for statement in statements:
            try:
                connection.execute(statement)
                done.append(statement)
            except duckdb.Error:  # such as a value that its type does not have
                continue
        if rng.random() < 0.5:  # as if nobody had ever taken digests
            connection.execute("DELETE FROM _digest")
            done.append("no digests")
    return "; ".join(done)


def _value(kind: str, rng: random.Random) -> str:
    base, _, length = kind.partition("[")
    if base == "VARCHAR":
        value = rng.choice(["''", "'\\x00\\n'", "repeat('x', 100000)", "'{text'"])
    elif base in ("FLOAT", "DOUBLE"):
        value = rng.choice(FLOATS)
    else:
        value = rng.choice(NUMBERS)
    if not length:
        return value
    size = length.rstrip("]")
    return f"[{value}]" if not size else f"(SELECT list({value}) FROM range({size}))::{kind}"


@pytest.mark.parametrize("case", range(CASES))
def test_mangled_rows_are_answered_or_refused(whole: Path, tmp_path: Path, case: int) -> None:
    path = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
    done = mangle(path, generator(f"mangled_rows/{case}"))
    found = outcomes(path)
    assert foreign(found) == [], done
    changed = [name for name, outcome in found.items() if outcome != _right(whole)[name]] if "open" not in found else []
    if changed and "no digests" not in done:
        broken = [check.name for check in checks_of(path) if check.result == BROKEN]
        assert broken, (done, changed)


_RIGHT: dict[Path, dict[str, tuple[str, str]]] = {}


def _right(whole: Path) -> dict[str, tuple[str, str]]:
    if whole not in _RIGHT:
        _RIGHT[whole] = outcomes(whole)
        answered = {name for name, (kind, _) in _RIGHT[whole].items() if kind == ANSWERED}
        assert answered == set(QUESTIONS) - {"nearest"}  # which needs vectors
    return _RIGHT[whole]
