"""Attacks on the sandbox. Each must be refused or stopped, and say so; none may leave a trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from atlas.errors import QuestionError
from queries.sandbox.sandbox import run_sql

REFUSED = [
    # Reading files, the network, the environment, this process
    "FROM read_csv('/etc/passwd')",
    "FROM read_text('/etc/passwd')",
    "FROM read_blob('/proc/self/environ')",
    "FROM read_parquet('/etc/passwd')",
    "FROM read_json('https://example.org/x.json')",
    "FROM sniff_csv('/etc/passwd')",
    "FROM glob('/*')",
    "FROM '/etc/passwd'",
    "FROM '/etc/passwd.csv'",
    "FROM query_table('/etc/passwd')",
    "SELECT getenv('HOME')",
    "FROM secret",
    # Writing and leaving the file
    "COPY vocab TO '{folder}/stolen.csv'",
    "COPY vocab TO '/dev/stdout'",
    "COPY vocab FROM '/etc/passwd'",
    "EXPLAIN ANALYZE COPY vocab TO '{folder}/stolen.csv'",
    "FROM query('COPY vocab TO ''{folder}/stolen.csv''')",
    "EXPORT DATABASE '{folder}/copy'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/new.duckdb' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH small",
    "CREATE TABLE t (i INTEGER)",
    "CREATE TEMP TABLE t AS SELECT 1",
    "CREATE OR REPLACE MACRO norm_cdf(z) AS 0",
    "CREATE SECRET s (TYPE s3)",
    "INSERT INTO vocab VALUES (99, 'x', 1)",
    "WITH x AS (INSERT INTO vocab VALUES (99, 'x', 1) RETURNING token_id) FROM x",
    "EXPLAIN ANALYZE INSERT INTO vocab VALUES (99, 'x', 1)",
    "UPDATE vocab SET norm = 0",
    "DELETE FROM vocab",
    "DROP VIEW token_decoding",
    "VACUUM",
    "CHECKPOINT",
    # Extensions and settings
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL httpfs FROM '{folder}'",
    "UPDATE EXTENSIONS",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET memory_limit = '100GB'",
    "RESET memory_limit",
    "SET VARIABLE x = 1",
    "PRAGMA enable_profiling",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CALL enable_logging()",
    "FROM enable_logging(storage := 'file', storage_path := '{folder}/log')",
    "USE temp",
    # More than one statement, or none
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY vocab TO '{folder}/stolen.csv'",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "BEGIN TRANSACTION",
    "",
    "   ;;  ",
    "-- only a remark",
    "/* SELECT 1 */",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_refused(atlas_file: Path, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(atlas_file.parent)
    secret = [1, 2, 3]  # a name that a scan of Python variables would find
    with pytest.raises(QuestionError) as caught:
        run_sql(atlas_file, sql.replace("{folder}", str(atlas_file.parent)))
    assert caught.value.exit_code == 1
    assert "root:" not in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.message and secret


STOPPED = [
    ("SELECT len(range(2000000000))", "more memory"),
    ("SELECT list(i) FROM range(1000000000) t(i)", "more memory|longer than"),
    ("SELECT rpad('x', 2000000000, 'y')", "longer than|more memory"),
    ("SELECT levenshtein(repeat('ab', 60000), repeat('ba', 60000))", "longer than"),
    ("SELECT sum(list_sum(list_transform(range(60000000), lambda x: x * x)))", "longer than|more memory"),
    ("WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r", "longer than"),
    (
        "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = 3",
        "longer than",
    ),
    ("SELECT repeat('x', 100000000)", "larger than 64 MiB|longer than"),
    ("SELECT repeat('x', 1000000) FROM range(1000)", "larger than 64 MiB|longer than"),
    ("SELECT " + "(" * 30_000 + "1" + ")" * 30_000, "depth|longer than"),
    ("SELECT " + "(" * 200_000 + "1" + ")" * 200_000, "longer than 64 KiB"),
]


@pytest.mark.parametrize(("sql", "reason"), STOPPED, ids=[sql[:40] for sql, _ in STOPPED])
def test_stopped(atlas_file: Path, sql: str, reason: str) -> None:
    with pytest.raises(QuestionError, match=reason) as caught:
        run_sql(atlas_file, sql, timeout_s=1)
    assert "\n" not in str(caught.value)


def test_a_limit_names_its_value_and_its_flag(atlas_file: Path) -> None:
    with pytest.raises(QuestionError, match=r"longer than its 0\.5 s") as caught:
        run_sql(atlas_file, "SELECT count(*) FROM range(100000000) a, range(1000000) b", timeout_s=0.5)
    assert "--timeout" in caught.value.hint
    with pytest.raises(QuestionError, match="1500 MiB") as caught:
        run_sql(atlas_file, "SELECT len(range(2000000000))", memory_mb=1500)
    assert "--memory" in caught.value.hint


def test_the_fences_stand(atlas_file: Path) -> None:
    result = run_sql(atlas_file, "SELECT name, value FROM duckdb_settings()")
    found = dict(result.rows)
    expected = {
        "access_mode": "read_only",
        "enable_external_access": "false",
        "lock_configuration": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "python_enable_replacements": "false",
        "temp_directory": "",
        "max_temp_directory_size": "0 bytes",
        "max_memory": "1.0 GiB",
        "threads": "1",
        "enable_progress_bar": "false",
    }
    assert {name: found[name] for name in expected} == expected


def test_the_environment_is_not_passed_on(atlas_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody-with-a-secret")
    for sql in ("FROM duckdb_settings()", "FROM duckdb_databases()", "FROM duckdb_secrets()"):
        assert "somebody-with-a-secret" not in str(run_sql(atlas_file, sql).rows)


LEFT_BEHIND = """
import os, sys
from pathlib import Path
from atlas.errors import QuestionError
from queries.sandbox.sandbox import run_sql

try:
    run_sql(Path(sys.argv[1]), "SELECT levenshtein(repeat('ab', 60000), repeat('ba', 60000))", timeout_s=0.5)
except QuestionError:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        sys.exit(0)
    sys.exit("a child is left")
sys.exit("the bomb was answered")
"""


def test_no_process_is_left_behind(atlas_file: Path) -> None:
    # In a process of its own: libraries that other tests load keep helper processes, which waitpid would find.
    done = subprocess.run([sys.executable, "-c", LEFT_BEHIND, str(atlas_file)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
