"""Opening files that are no atlas: one line, exit code 3. Asking an atlas several things at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from atlas.errors import AtlasFileError, QuestionError
from atlas.store.reader import open_atlas
from tests.atlas_factory import write_small_atlas


@pytest.fixture(scope="module")
def atlas_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("atlas") / "small.duckdb")


def refused(path: Path) -> str:
    with pytest.raises(AtlasFileError) as caught:
        open_atlas(path).close()
    assert caught.value.exit_code == 3
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value.message


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "there is no atlas" in refused(tmp_path / "none.duckdb")
    assert "is not a file" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short", b"SQLite format 3\x00" + bytes(200), b"some text\n" * 100])
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.duckdb"
    path.write_bytes(content)
    assert "not a neuron atlas" in refused(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_truncated_atlas(tmp_path: Path, atlas_file: Path, share: float) -> None:
    whole = atlas_file.read_bytes()
    path = tmp_path / "cut.duckdb"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "damaged" in refused(path)


def test_a_damaged_block_is_reported_when_it_is_read(tmp_path: Path, atlas_file: Path) -> None:
    content = bytearray(atlas_file.read_bytes())
    start = 3 * 4096
    for offset in range(start, len(content), 65536):
        content[offset + 30000 if offset + 30000 < len(content) else offset] ^= 0xFF
    path = tmp_path / "flipped.duckdb"
    path.write_bytes(content)
    with pytest.raises(AtlasFileError, match="damaged"), open_atlas(path) as atlas:
        for table in ("_decoding", "_gaussian", "_posting", "vocab"):
            atlas.query(f"SELECT * FROM {table}")


@pytest.mark.parametrize(("version", "text"), [(99, "schema version 99"), (0, "old schema version 0")])
def test_other_schema_versions(tmp_path: Path, version: int, text: str) -> None:
    assert text in refused(write_small_atlas(tmp_path / "other.duckdb", schema_version=version))


def test_a_database_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE cars (name VARCHAR)")
    assert "no neuron atlas" in refused(path)


def test_a_file_that_a_writer_holds(tmp_path: Path) -> None:
    path = write_small_atlas(tmp_path / "held.duckdb")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "open\n"
        assert "locked by another process" in refused(path)
    finally:
        holder.communicate("")


def test_reading_never_writes(atlas_file: Path) -> None:
    before = atlas_file.read_bytes()
    with open_atlas(atlas_file) as atlas:
        for statement in ("CREATE TABLE t (a INTEGER)", "DELETE FROM vocab", "ATTACH ':memory:' AS m"):
            with pytest.raises(QuestionError):
                atlas.query(statement)
        with pytest.raises(QuestionError):
            atlas.query("SELECT * FROM read_csv('/etc/hostname')")
    assert atlas_file.read_bytes() == before


def test_rows_and_arrow_agree(atlas_file: Path) -> None:
    with open_atlas(atlas_file) as atlas:
        columns, rows = atlas.query("SELECT token_id, token FROM vocab WHERE token_id < $n ORDER BY 1", {"n": 5})
        table = atlas.arrow("SELECT token_id, token FROM vocab WHERE token_id < $n ORDER BY 1", {"n": 5})
    assert columns == table.column_names
    assert rows == [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize("columns", ["x INTEGER", "schema_version VARCHAR", "schema_version INTEGER"])
def test_a_database_with_another_table_of_this_name(tmp_path: Path, columns: str) -> None:
    with duckdb.connect(str(tmp_path / "other.duckdb")) as connection:
        connection.execute(f"CREATE TABLE atlas ({columns})")
        connection.execute("INSERT INTO atlas VALUES ('1')")
    assert "no neuron atlas" in refused(tmp_path / "other.duckdb")


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_statements_asked_together_are_answered_in_order(tmp_path: Path, count: int) -> None:
    statements = [f"SELECT {i} * $factor AS x" for i in range(count)]
    with open_atlas(write_small_atlas(tmp_path / "a.duckdb")) as atlas:
        for factor in (1, 10):
            assert atlas.rows(statements, factor=factor) == [[(factor * i,)] for i in range(count)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_rejected_statement_among_several_is_refused(tmp_path: Path, place: int) -> None:
    statements = ["SELECT $x + 1"] * 3
    statements[place] = "SELECT no_such_column + $x"
    with open_atlas(write_small_atlas(tmp_path / "a.duckdb")) as atlas:
        with pytest.raises(QuestionError, match="no_such_column"):
            atlas.rows(statements, x=1)
        assert atlas.rows(["SELECT $x + 1"] * 2, x=1) == [[(2,)], [(2,)]]
    with pytest.raises(QuestionError, match=r"(?i)closed"):
        atlas.rows(["SELECT $x + 2"] * 2, x=1)
