"""Files that hold more, or something else, than an atlas: one line and exit code 3, before any of it is run."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import duckdb
import pytest

from atlas.__main__ import main
from atlas.errors import AtlasFileError
from atlas.store.reader import open_atlas
from tests.atlas_factory import write_small_atlas
from tests.hostile.counts import count

HANG_S = 10.0
ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE hash(a.range, b.range) = 1"
ATTACKS = {
    "a view for a table": "ALTER TABLE concept RENAME TO _c; "
    f"CREATE VIEW concept AS SELECT * FROM _c WHERE ({ENDLESS}) = 0",
    "a view for the first table": "ALTER TABLE atlas RENAME TO _a; CREATE VIEW atlas AS SELECT * FROM _a",
    "another text of a view": "CREATE OR REPLACE VIEW token_decoding AS SELECT 1 AS layer",
    "a view more": "CREATE VIEW more AS SELECT 1 AS one",
    "a view that asks itself": "CREATE VIEW turns AS WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t) "
    "SELECT * FROM t",
    "a macro for a function": f"CREATE MACRO count() AS ({ENDLESS})",
    "a macro for an aggregate": "CREATE MACRO sum(x) AS 7",
    "a macro for a catalog function": "CREATE MACRO duckdb_tables() AS TABLE SELECT 1 AS one",
    "a macro for an operator": 'CREATE MACRO "+"(a, b) AS 7',
    "a table macro": "CREATE MACRO rows_of(n) AS TABLE SELECT * FROM range(n)",
    "another text of a macro": "CREATE OR REPLACE MACRO _upper_tail(a) AS 0.5",
    "a second reading of a macro": "CREATE OR REPLACE MACRO _upper_tail(a) AS 0.5, (a, b) AS 0.6",
    "a schema": "CREATE SCHEMA pg",
    "a table in another schema": "CREATE SCHEMA s; CREATE TABLE s.atlas AS FROM main.atlas",
    "a table more": "CREATE TABLE more (x INTEGER)",
    "a sequence": "CREATE SEQUENCE numbers",
    "an index": "CREATE INDEX fast ON vocab (token)",
    "a type": "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "a column more": "ALTER TABLE vocab ADD COLUMN more INTEGER",
    "a default": "ALTER TABLE vocab ALTER COLUMN token SET DEFAULT 'x'",
    "another type of a column": "ALTER TABLE vocab ALTER COLUMN token TYPE BLOB",
    "a column less": "ALTER TABLE vocab DROP COLUMN token",
    "a column of another name": "ALTER TABLE vocab RENAME COLUMN token TO tokens",
    "NULL where none may be": "ALTER TABLE vocab ALTER COLUMN token DROP NOT NULL",
    "a generated column": "CREATE TABLE v2 AS FROM vocab; DROP TABLE vocab CASCADE; "
    "CREATE TABLE vocab (token_id INTEGER, token VARCHAR GENERATED ALWAYS AS (token_id::VARCHAR)); DROP TABLE v2",
    "a table less": "DROP TABLE vocab CASCADE",
    "no table of that kind": "DROP TABLE _posting CASCADE",
    "no first table": "DROP TABLE atlas CASCADE",
}
QUESTIONS = (("concepts",), ("token", "dog"), ("sql", "SELECT count(*) FROM concept"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("objects") / "small.duckdb")


def attacked(whole: Path, place: Path, attack: str) -> Path:
    """A copy of the atlas to which the statements were done."""
    shutil.copy(whole, place)
    with duckdb.connect(str(place)) as connection:
        connection.execute(attack)
        connection.execute("CHECKPOINT")
    assert not Path(f"{place}.wal").exists()
    return place


def refused(path: Path, capfd: pytest.CaptureFixture[str], questions: tuple[tuple[str, ...], ...] = QUESTIONS) -> None:
    """Assert that the API and the command line refuse the file in one line, in time."""
    began = time.monotonic()
    with pytest.raises(AtlasFileError) as error:
        open_atlas(path)
    assert "\n" not in error.value.message
    for question in questions:
        capfd.readouterr()
        code = main([*question, "-a", str(path)])
        out, said = capfd.readouterr()
        assert (code, out) == (3, ""), (question, said)
        lines = said.splitlines()
        assert [line.partition(":")[0] for line in lines] == ["error", "hint"], lines
        assert "unexpected" not in said
    assert time.monotonic() - began < HANG_S * (1 + len(questions))


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_not_ours_is_refused(
    whole: Path, tmp_path: Path, attack: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # Each question goes the same way to the file: one of them an attack is a good sample.
    first = list(ATTACKS).index(attack) % len(QUESTIONS)
    asked = (QUESTIONS[first:] + QUESTIONS[:first])[: count(1, len(QUESTIONS))]
    refused(attacked(whole, tmp_path / "attacked.duckdb", ATTACKS[attack]), capfd, asked)


def test_a_log_beside_the_file_is_refused(whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
    connection = duckdb.connect(str(path))
    connection.execute("SET checkpoint_threshold = '1GB'; UPDATE vocab SET token = ' cow' WHERE token = ' dog'")
    left = tmp_path / "left.duckdb"
    shutil.copy(path, left)
    shutil.copy(f"{path}.wal", f"{left}.wal")
    connection.close()
    refused(left, capfd)
    link = tmp_path / "elsewhere" / "link.duckdb"  # the log lies beside what the link points to
    link.parent.mkdir()
    link.symlink_to(left)
    refused(link, capfd)


def test_the_atlas_itself_is_not_refused(whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for question in QUESTIONS:
        assert main([*question, "-a", str(whole)]) == 0


@pytest.mark.parametrize(
    ("place", "log"), [("what?.duckdb", "what.wal?.duckdb"), ("which?/a.duckdb", "which.wal?/a.duckdb")]
)
def test_a_log_is_looked_for_where_duckdb_keeps_it(
    whole: Path, tmp_path: Path, place: str, log: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path, kept = tmp_path / place, tmp_path / "kept"
    for file in (path, tmp_path / log):
        file.parent.mkdir(exist_ok=True)
    shutil.copy(whole, path)
    connection = duckdb.connect(str(path))
    connection.execute("SET checkpoint_threshold = '1GB'; UPDATE vocab SET token = ' cow' WHERE token = ' dog'")
    shutil.copy(tmp_path / log, kept)
    connection.close()
    shutil.copy(whole, path)
    shutil.copy(kept, tmp_path / log)
    refused(path, capfd)
    (tmp_path / log).unlink()
    open_atlas(path).close()


NAMES = [":memory:", ":memory:x", "md:x", "sqlite:x", "s3:x", "file:x", "duckdb:x", "~x", "~"]


@pytest.mark.parametrize("name", NAMES[:: count(2, 1)])
def test_a_name_means_the_file_of_that_name(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(whole, name)
    with duckdb.connect(str(tmp_path / "x")) as other:  # what DuckDB would take it for
        other.execute("CREATE TABLE another (a INTEGER)")
    for question in (*QUESTIONS, ("info",)):
        assert main([*question, "-a", name]) == 0, capfd.readouterr().err
    assert main(["verify", name]) == 0
    assert main(["compare", name, str(whole)]) == 0
