"""The sidecar file: rows are added whole or not at all, and nothing foreign is touched."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from atlas.errors import AtlasFileError
from atlas.manifest import utc_now
from atlas.store.evaluations import append_evaluations, check_sidecar, read_rows, sidecar_of
from tests import warm

TEXT = "atlas_id model_id fingerprint target sites positions corpus corpus_sha256 template labels software device dtype"
NUMBERS = "n_edits n_shots seed bootstrap n_used n_dropped"


def rows(name: str, spec: str = "h1") -> dict[str, pa.Table]:
    evaluation = {"evaluation_id": name, "spec_hash": spec, "started_at": utc_now(), "seconds": 1.5}
    evaluation |= dict.fromkeys(TEXT.split(), "x") | dict.fromkeys(NUMBERS.split(), 1)
    score = {"evaluation_id": name, "arm": "range", "metric": "accuracy", "text_group": "target", "value": 0.5, "n": 3}
    return {
        "spec": pa.Table.from_pylist([{"spec_hash": spec, "spec": "{}"}]),
        "evaluation": pa.Table.from_pylist([evaluation]),
        "score": pa.Table.from_pylist([score]),
    }


def stored(path: Path, table: str, column: str) -> list:
    return sorted(value for (value,) in read_rows(path, f"SELECT {column} FROM {table}", {})[1])


def test_rows_are_added(tmp_path: Path) -> None:
    path = sidecar_of(tmp_path / "a.duckdb")
    assert path.name == "a.evaluations.duckdb"
    check_sidecar(path)
    append_evaluations(path, rows("one"))
    append_evaluations(path, rows("two"))
    append_evaluations(path, rows("three", "h2"))
    assert stored(path, "evaluation", "evaluation_id") == ["one", "three", "two"]
    assert stored(path, "spec", "spec_hash") == ["h1", "h2"]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.evaluations.duckdb"
    append_evaluations(path, rows("one"))
    before = path.read_bytes()
    broken = rows("two")
    broken["score"] = broken["score"].set_column(0, "evaluation_id", pa.array([None], pa.string()))
    with pytest.raises(AtlasFileError):
        append_evaluations(path, broken)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_foreign_files_are_refused_and_kept(tmp_path: Path) -> None:
    text = tmp_path / "text.evaluations.duckdb"
    text.write_text("not a database at all")
    database = tmp_path / "other.evaluations.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE mine (x INTEGER)")
    newer = tmp_path / "newer.evaluations.duckdb"
    append_evaluations(newer, rows("one"))
    with duckdb.connect(str(newer)) as connection:
        connection.execute("UPDATE evaluations_file SET schema_version = 7")
    for path, message in ((text, "holds no evaluations"), (database, "without evaluations"), (newer, "version 7")):
        before = path.read_bytes()
        for attempt in (lambda path: append_evaluations(path, rows("two")), check_sidecar):
            with pytest.raises(AtlasFileError, match=message):
                attempt(path)
        assert path.read_bytes() == before
    with pytest.raises(AtlasFileError, match="no evaluations at"):
        read_rows(tmp_path / "none.evaluations.duckdb", "SELECT 1", {})


def append_many(path: str, name: str) -> None:
    for number in range(4):
        append_evaluations(Path(path), rows(f"{name}{number}"))


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.evaluations.duckdb"
    writers = [warm.CONTEXT.Process(target=append_many, args=(str(path), name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert stored(path, "evaluation", "evaluation_id") == sorted(f"{name}{n}" for name in "ab" for n in range(4))
