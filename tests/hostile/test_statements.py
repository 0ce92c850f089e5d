"""SQL of strangers: statements of every type, hostile functions, random nesting. Answered, refused or stopped."""

from __future__ import annotations

import hashlib
import random as randoms
import time
from pathlib import Path

import pytest

from atlas.errors import QuestionError
from queries.sandbox.sandbox import run_sql
from tests.atlas_factory import write_small_atlas
from tests.hostile.counts import count, generator

# One of every statement type that DuckDB parses, with {folder} for a place that it may want to write.
TYPES = """
SELECT 1
EXPLAIN SELECT 1
EXPLAIN ANALYZE SELECT * FROM vocab
DESCRIBE vocab
SHOW TABLES
SUMMARIZE vocab
VALUES (1), (2)
FROM vocab
TABLE vocab
PIVOT concept ON family USING count(*)
PIVOT concept ON family IN ('topics') USING count(*)
UNPIVOT concept ON family INTO NAME a VALUE b
INSERT INTO vocab VALUES (1, 'a', 1)
UPDATE vocab SET token = 'x'
DELETE FROM vocab
TRUNCATE vocab
MERGE INTO vocab USING vocab v ON true WHEN MATCHED THEN DELETE
CREATE TABLE t (a INTEGER)
CREATE VIEW v AS SELECT 1
CREATE MACRO m() AS 1
CREATE SCHEMA s
CREATE SEQUENCE q
CREATE TYPE mood AS ENUM ('a')
CREATE INDEX i ON vocab (token)
CREATE SECRET s (TYPE s3)
CREATE TRIGGER t AFTER INSERT ON vocab EXECUTE FUNCTION f()
DROP TABLE vocab
ALTER TABLE vocab ADD COLUMN x INTEGER
COMMENT ON TABLE vocab IS 'x'
COPY vocab TO '{folder}/x.csv'
COPY vocab FROM '/etc/passwd'
COPY (SELECT 1) TO '{folder}/x.parquet' (FORMAT parquet)
COPY FROM DATABASE small TO other
EXPORT DATABASE '{folder}/x'
IMPORT DATABASE '{folder}/x'
ATTACH '{folder}/x.duckdb' AS x
ATTACH '/etc/passwd' AS x
ATTACH ':memory:' AS x
DETACH small
USE small
LOAD httpfs
INSTALL httpfs
UPDATE EXTENSIONS
SET threads = 8
SET GLOBAL memory_limit = '100GB'
RESET threads
SET VARIABLE x = 1
PRAGMA database_list
PRAGMA version
PRAGMA memory_limit='1TB'
CALL pragma_version()
CALL enable_logging()
BEGIN
COMMIT
ROLLBACK
PREPARE p AS SELECT 1
EXECUTE p
DEALLOCATE p
VACUUM
ANALYZE
CHECKPOINT
FORCE CHECKPOINT
SELECT 1; SELECT 2
;
-- nothing
/* open
SELECT '
SELECT "
SELECT $$
SELECT $1
SELECT ?
SELECT $name
""".strip().splitlines()
HOSTILE = """
SELECT now()
SELECT [now()], {{'a': [now()]}}, MAP {{now(): 1}}
SELECT current_timestamp, get_current_time(), today()
SELECT 'infinity'::TIMESTAMPTZ
SELECT now()::VARIANT
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM read_text('{folder}/*')
SELECT * FROM read_blob('/dev/zero')
SELECT * FROM read_json('/proc/self/environ')
SELECT * FROM '/etc/passwd'
SELECT * FROM parquet_metadata('/etc/passwd')
SELECT * FROM glob('/**')
SELECT * FROM duckdb_secrets()
SELECT * FROM pragma_storage_info('vocab')
SELECT * FROM query('COPY vocab TO ''{folder}/x.csv''')
SELECT * FROM query_table(['vocab', '/etc/passwd'])
SELECT getenv('HOME')
SELECT current_setting('home_directory')
SELECT set_config('threads', '8')
SELECT sleep_ms(100000)
SELECT write_log('x')
SELECT error('x')
SELECT error(repeat('x', 100000))
SELECT repeat('x', 1000000000)
SELECT list_resize([1], 1000000000)
SELECT range(10000000000)
SELECT generate_series(1, 1000000000)
SELECT string_agg(repeat('x', 1000), '') FROM range(1000000)
SELECT list(range) FROM range(1000000000)
SELECT printf('%1000000000d', 1)
SELECT format('{{:>1000000000}}', 1)
SELECT lpad('x', 1000000000, 'x')
SELECT bit_count(repeat('1', 100000000)::BIT)
SELECT regexp_matches(repeat('a', 100000), '(a+)+b')
SELECT regexp_replace(repeat('a', 1000000), '(a*)*', 'b', 'g')
SELECT 10::BIGNUM ** 100000
SELECT factorial(100000)
SELECT 1e308 * 10, 0.0 / 0.0, 1 / 0
SELECT 170141183460469231731687303715884105727 + 1
SELECT chr(0), chr(27), chr(1114112)
SELECT '\\x00'::BLOB, 'a'::BLOB::VARCHAR
SELECT unnest(range(100000000))
WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT * FROM r
WITH RECURSIVE r AS (SELECT [1] AS i UNION ALL SELECT i || i FROM r) SELECT count(*) FROM r
SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c
SELECT * FROM vocab a, vocab b, vocab c, vocab d, vocab e, vocab f
SELECT struct_pack(a := 1).a.b.c
SELECT json_extract('{{}}', repeat('$.a', 10000))
SELECT json(repeat('[', 100000))
SELECT repeat('[', 100000)::JSON
SELECT histogram(random()) FROM range(10000000)
SELECT approx_quantile(x, [0.1, 0.2]) FROM range(100) t(x)
SELECT * FROM repeat_row(1, 2, num_rows = 1000000000)
SELECT * FROM test_all_types()
SELECT * FROM test_vector_types(NULL::INTEGER)
SELECT * FROM sql_auto_complete('SEL')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))
SELECT * FROM python_map_function()
SELECT * FROM duckdb_logs
SELECT * FROM which_secret('x', 's3')
SELECT * FROM checkpoint('small')
SELECT * FROM force_checkpoint()
SELECT * FROM pragma_user_agent()
SELECT nextval('q')
SELECT * FROM vocab AT (VERSION => 1)
SELECT * FROM vocab POSITIONAL JOIN vocab
SELECT * FROM vocab ASOF JOIN vocab v USING (token_id)
SELECT COLUMNS('.*') FROM vocab
SELECT * REPLACE (1 AS nothing) FROM vocab
SELECT lambda x: x
SELECT list_reduce([], lambda a, b: a)
SELECT uuid() FROM range(20000)
SELECT 'x' COLLATE nothing
SELECT hamming('a', 'bc'), levenshtein(repeat('a', 10000), repeat('b', 10000))
SELECT * FROM find_neurons(range(100000))
""".strip().splitlines()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("statements") / "small.duckdb")


def nested(random: randoms.Random) -> str:
    """A statement that is deep, wide, long or torn."""
    n = random.choice([10, 300, 3000, 20_000])
    deep = random.choice(
        [
            "SELECT " + "(" * n + "1" + ")" * n,
            "SELECT " + "[" * n + "]" * n,
            "SELECT " + "-" * n + "1",
            "SELECT " + "NOT " * n + "true",
            "SELECT " + "(SELECT " * n + "1" + ")" * n,
            "SELECT " + "+".join("1" * n),
            "SELECT " + ",".join("1" * n),
            "SELECT 1" + " UNION ALL SELECT 1" * (n // 10),
            "SELECT '" + "x" * n + "'",
            "FROM vocab WHERE " + " OR ".join(["token_id = 1"] * (n // 10)),
            "SELECT " + "CASE WHEN true THEN " * n,
            "SELECT 1 AS " + "a" * n,
            "SELECT " + "{'a': " * n + "1" + "}" * n,
            "WITH a AS (SELECT 1) " * n,
        ]
    )
    if random.random() < 0.3:
        place = random.randrange(len(deep))
        deep = deep[:place] + random.choice(["\0", "\x1b", "'", ";", "\udcff", "é", "", "/*"]) + deep[place + 1 :]
    return deep


def shuffled(random: randoms.Random) -> str:
    """Words of real statements in another order."""
    parts = " ".join(random.sample(TYPES + HOSTILE, 3)).split()
    random.shuffle(parts)
    return " ".join(parts)


def test_statements_are_answered_refused_or_stopped(small: Path) -> None:
    random = generator("statements")
    written = [
        line.replace("{folder}", str(small.parent)).replace("{{", "{").replace("}}", "}") for line in TYPES + HOSTILE
    ]
    cases = written + [nested(random) if index % 2 else shuffled(random) for index in range(40)]
    before = (sorted(small.parent.iterdir()), hashlib.sha256(small.read_bytes()).hexdigest())
    answers = 0
    for sql in random.sample(cases, count(14, len(cases))):
        started = time.monotonic()
        try:
            answers += len(run_sql(small, sql, timeout_s=2.0, max_rows=1000).columns) > 0
        except QuestionError as error:
            text = str(error)
            assert "\n" not in text and "Traceback" not in text and "root:" not in text, sql[:200]
            # What Python says of a fault of ours: an error of DuckDB names its kind with "Error:" and a blank before.
            assert not any(f"{kind}: " in text for kind in ("ValueError", "TypeError", "KeyError", "AttributeError")), (
                text
            )
            assert len(text) < 2000, sql[:200]
        assert time.monotonic() - started < 10, sql[:200]
    assert (sorted(small.parent.iterdir()), hashlib.sha256(small.read_bytes()).hexdigest()) == before
    assert answers


@pytest.mark.parametrize("form", ["SELECT now()", "SELECT [now()]", "SELECT {'a': now()}", "SELECT MAP {'a': [now()]}"])
def test_a_time_with_zone_is_one_clean_line_wherever_it_is(small: Path, form: str) -> None:
    with pytest.raises(QuestionError, match="TIMESTAMP WITH TIME ZONE") as caught:
        run_sql(small, form)
    assert "::TIMESTAMP" in caught.value.hint and len(str(caught.value)) < 250
    assert len(run_sql(small, form.replace("now()", "now()::TIMESTAMP"))) == 1


def test_a_pivot_is_told_the_form_that_works(small: Path) -> None:
    with pytest.raises(QuestionError, match="PIVOT") as caught:
        run_sql(small, "PIVOT concept ON family USING count(*)")
    form = caught.value.hint.partition(": ")[2].removesuffix(".")
    assert run_sql(small, form).rows
    with pytest.raises(QuestionError, match="refused"):
        run_sql(small, "UPDATE EXTENSIONS")
