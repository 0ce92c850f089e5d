"""What the sandbox answers: the same values as a plain connection, with their types, cut where it says so."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from atlas.errors import AtlasFileError, QuestionError, UsageError
from atlas.store.reader import open_atlas
from queries.sandbox.sandbox import MAX_SQL_BYTES, MIN_MEMORY_MB, run_sql

EVERY_TYPE = """
SELECT NULL AS nothing, true AS yes, 170141183460469231731687303715884105727::HUGEINT AS huge,
    0.1::FLOAT AS single, 1e-300 AS tiny, '-inf'::DOUBLE AS low, 1.25::DECIMAL(10, 2) AS price,
    DATE '2020-02-29' AS day, TIMESTAMP '2020-01-01 01:02:03.5' AS moment, TIME '01:02:03' AS clock,
    TIMETZ '01:02:03+02' AS zoned, INTERVAL '1 month 2 days' AS span, '\\xFF\\x00a'::BLOB AS bytes,
    '7ff00000-0000-4000-8000-000000000001'::UUID AS id, [1, NULL, 2] AS numbers, [1, 2]::INTEGER[2] AS pair,
    [[DATE '2020-01-01'], []] AS nested, {'a': 1, 'b': 'x'} AS record, MAP {1: 'a'} AS mapped,
    MAP {'k': [1.5::DECIMAL(3, 1)]} AS deep, 'y'::ENUM ('x', 'y') AS kind, '101'::BIT AS bits,
    '{"a": 1}'::JSON AS document, {'interval': [1, 2, 3]} AS looks_like_a_tag,
    e'line\\nbreak\\r "quoted" \\u2028 \\U0001F415' AS words, '' AS empty
"""


def test_values_equal_those_of_a_plain_connection(atlas_file: Path) -> None:
    with duckdb.connect() as connection:
        cursor = connection.execute(EVERY_TYPE)
        columns, expected = [column[0] for column in cursor.description], cursor.fetchall()
    result = run_sql(atlas_file, EVERY_TYPE)
    assert result.columns == columns
    assert result.rows == expected
    assert [type(value) for value in result.rows[0]] == [type(value) for value in expected[0]]


def test_not_a_number_survives(atlas_file: Path) -> None:
    ((value, values),) = run_sql(atlas_file, "SELECT 'nan'::DOUBLE, ['nan'::FLOAT]").rows
    assert math.isnan(value) and math.isnan(values[0])


@pytest.mark.parametrize(
    "sql",
    [
        "FROM atlas",
        "SELECT * FROM token_decoding WHERE layer = 2 AND neuron = 3 ORDER BY ALL",
        "SELECT * FROM concept_range ORDER BY ALL",
        "FROM find_neurons([1, 2])",
        "SELECT 1; -- and a remark",
        "DESCRIBE vocab",
        "VALUES (1), (2)",
        "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 9) SELECT max(i) FROM r",
        "PIVOT concept ON family IN ('topics', 'moods') USING count(*) GROUP BY concept ORDER BY ALL",
    ],
)
def test_the_atlas_answers_as_without_a_sandbox(atlas_file: Path, sql: str) -> None:
    with open_atlas(atlas_file) as atlas:
        columns, rows = atlas.query(sql)
    result = run_sql(atlas_file, sql)
    assert (result.columns, result.rows, result.truncated_by) == (columns, rows, None)


def test_explain_is_allowed(atlas_file: Path) -> None:
    assert "vocab" in str(run_sql(atlas_file, "EXPLAIN SELECT count(*) FROM vocab WHERE token_id > 3").rows)


def test_parameters_bind_by_name_and_by_place(atlas_file: Path) -> None:
    named = run_sql(atlas_file, "SELECT $a + 1, $b", parameters={"a": Decimal("1.5"), "b": date(2020, 1, 2)})
    assert named.rows == [(Decimal("2.5"), date(2020, 1, 2))]
    placed = run_sql(atlas_file, "SELECT token_id FROM vocab WHERE token = ANY(?)", parameters=[[" dog"]])
    assert placed.rows == [(1,)]
    with pytest.raises(UsageError, match="object"):
        run_sql(atlas_file, "SELECT ?", parameters=[object()])


def test_a_cut_is_announced_and_an_exact_fit_is_none(atlas_file: Path) -> None:
    cut = run_sql(atlas_file, "FROM range(1000000000)", max_rows=250)
    assert (len(cut), cut.rows[-1], cut.truncated_by) == (250, (249,), "--limit")
    whole = run_sql(atlas_file, "FROM range(250)", max_rows=250)
    assert (len(whole), whole.truncated_by) == (250, None)
    assert run_sql(atlas_file, "SELECT 1 AS one WHERE false").columns == ["one"]


def test_errors_in_the_sql_are_one_line_with_the_place(atlas_file: Path) -> None:
    with pytest.raises(QuestionError) as caught:
        run_sql(atlas_file, "SELECT *\nFROM vocabs")
    assert "vocabs" in caught.value.message and 'Did you mean "vocab"' in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint == "LINE 2: FROM vocabs"
    assert caught.value.exit_code == 1


def test_a_time_with_zone_asks_for_a_cast(atlas_file: Path) -> None:
    with pytest.raises(QuestionError, match="::TIMESTAMP"):
        run_sql(atlas_file, "SELECT now()")
    assert len(run_sql(atlas_file, "SELECT now()::TIMESTAMP")) == 1


def test_limits_out_of_their_domain(atlas_file: Path) -> None:
    for limits in ({"max_rows": 0}, {"timeout_s": 0.0}, {"timeout_s": math.inf}, {"memory_mb": 512}):
        with pytest.raises(UsageError, match="--"):
            run_sql(atlas_file, "SELECT 1", **limits)
    assert run_sql(atlas_file, "SELECT count(*) FROM _posting", memory_mb=MIN_MEMORY_MB).rows[0][0] > 0


def test_long_text(atlas_file: Path) -> None:
    padding = " " * (MAX_SQL_BYTES - len("SELECT 1"))
    assert run_sql(atlas_file, "SELECT 1" + padding).rows == [(1,)]
    with pytest.raises(QuestionError, match="longer than 64 KiB"):
        run_sql(atlas_file, "SELECT 1" + padding + " ")


def test_files_that_are_no_atlas(tmp_path: Path, atlas_file: Path) -> None:
    text, cut = tmp_path / "text.duckdb", tmp_path / "cut.duckdb"
    text.write_text("some text\n" * 100)
    cut.write_bytes(atlas_file.read_bytes()[:-5000])
    for path in (text, cut, tmp_path / "none.duckdb", tmp_path):
        with pytest.raises(AtlasFileError) as caught:
            run_sql(path, "SELECT 1")
        assert caught.value.exit_code == 3 and caught.value.hint
