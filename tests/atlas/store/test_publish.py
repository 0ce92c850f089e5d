"""Staging and publishing: all or nothing, whatever happens in between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from atlas.errors import BuildError
from atlas.schema.statements import Layout
from atlas.schema.tables import TABLES
from atlas.store import publish as publishing
from atlas.store.checks import check, scanned_tables
from atlas.store.reader import open_atlas
from atlas.store.scan import begin
from atlas.store.staging import Staging, building_folder
from tests import atlas_factory
from tests.atlas_factory import D_MLP, N_LAYERS, TOP, publish_small_atlas, write_small_atlas

LAYOUT = Layout(TOP, 10, 8, N_LAYERS, D_MLP)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_small_atlas(tmp_path_factory.mktemp("whole") / "a.duckdb")


def test_every_table_is_sorted_by_its_key(whole: Path) -> None:
    with open_atlas(whole) as atlas:
        for table in (table for table in TABLES.values() if table.name != "atlas"):
            columns = ", ".join(table.key_columns())
            _, stored = atlas.query(f"SELECT {columns} FROM {table.name} ORDER BY rowid")
            _, ordered = atlas.query(f"SELECT {columns} FROM {table.name} ORDER BY {', '.join(table.key)}")
            assert stored == ordered, table.name


def test_the_table_of_tables_names_every_table(whole: Path) -> None:
    with open_atlas(whole) as atlas:
        _, rows = atlas.query("SELECT table_name FROM duckdb_tables() WHERE NOT internal")
    assert {name for (name,) in rows} == set(TABLES)


def test_publishing_leaves_one_file(whole: Path) -> None:
    assert [file.name for file in whole.parent.iterdir()] == [whole.name]


def test_a_file_of_several_row_groups_has_no_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units whose rows do not divide a row group, of 122,880 rows, are packed by several threads."""
    monkeypatch.setattr(atlas_factory, "N_LAYERS", 20)
    monkeypatch.setattr(atlas_factory, "D_MLP", 3072)
    monkeypatch.setattr(atlas_factory, "PER_CONCEPT", 4)
    monkeypatch.setattr(atlas_factory, "WEIGHTS", ())
    path = publish_small_atlas(tmp_path / "a.duckdb", decoding_mode=None, intervals=False)
    with duckdb.connect(str(path), read_only=True) as connection:
        rows, free, used = connection.execute(
            "SELECT (SELECT count(*) FROM _gaussian), free_blocks, used_blocks FROM pragma_database_size()"
        ).fetchall()[0]
    assert rows == 20 * 3072 * 5
    assert free <= used / 100


def test_a_stale_log_of_an_older_file_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.duckdb.wal").write_bytes(b"left over")
    with open_atlas(publish_small_atlas(tmp_path / "a.duckdb", intervals=False)) as atlas:
        assert atlas.query("SELECT count(*) FROM vocab")[1][0][0] > 0


def test_a_reader_keeps_the_old_file_while_a_new_one_is_published(tmp_path: Path) -> None:
    path = write_small_atlas(tmp_path / "a.duckdb", seed=0)
    with open_atlas(path) as old:
        publish_small_atlas(path, seed=1, intervals=False)
        assert old.query("SELECT atlas_id FROM atlas")[1][0][0].endswith("0")
    with open_atlas(path) as new:
        assert new.manifest.atlas_id.endswith("1")


def refused(whole: Path, tmp_path: Path, statement: str) -> str:
    """What publishing's check says of an atlas that `statement` spoiled before it had digests."""
    with duckdb.connect(str(shutil.copy(whole, tmp_path / "spoiled.duckdb"))) as connection:
        connection.execute("DELETE FROM _digest")
        connection.execute(statement)
        with ThreadPoolExecutor(1) as beside, pytest.raises(BuildError) as caught:
            check(connection, LAYOUT, begin(beside, connection, scanned_tables(), LAYOUT))
    assert caught.value.exit_code == 5
    return caught.value.message


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("DELETE FROM _decoding WHERE nid = 7", "every weight is decoded"),
        ("UPDATE _decoding SET layer = 2 - layer WHERE nid IN (8, 40)", "nid matches"),
        ("INSERT INTO _decoding SELECT * FROM _decoding WHERE nid = 3", "repeated keys"),
        ("UPDATE _decoding SET raised_logit = list_reverse(raised_logit::FLOAT[])::FLOAT[6]", "top tokens are sorted"),
        ("DELETE FROM vocab WHERE token_id = 1", "in the vocabulary"),
        ("DELETE FROM _posting WHERE token_id = 4", "postings mirror"),
        ("DELETE FROM _gaussian WHERE concept_id = 1 AND neuron = 2", "every fit has all its concepts"),
        ("DELETE FROM _background WHERE fit_id = 1", "every fit has"),
        ("DELETE FROM _range WHERE neuron = 3", "every Gaussian has a range"),
        ("UPDATE _gaussian SET std = -1 WHERE neuron = 3", "Gaussians are finite"),
        ("UPDATE _gaussian SET mean = 'nan' WHERE neuron = 3", "Gaussians are finite"),
        ("UPDATE _range SET inside = 21 WHERE neuron = 3", "counts stay within"),
        ("UPDATE _gaussian SET twice_u = 100000 WHERE neuron = 3", "AUC is a share"),
        ("DELETE FROM run WHERE run_id = 2", "fits name their run"),
    ],
)
def test_an_atlas_that_breaks_a_rule_is_refused(whole: Path, tmp_path: Path, statement: str, rule: str) -> None:
    assert rule in refused(whole, tmp_path, statement)


# Postings come last and are made from the rest, which is read meanwhile.
@pytest.mark.parametrize(
    ("step", "statement", "rule"),
    [
        ("_fill", "DELETE FROM _decoding WHERE nid = 7", "every weight is decoded"),
        ("insert_postings", "DELETE FROM _posting WHERE token_id = 4", "postings mirror"),
    ],
)
def test_what_is_refused_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, statement: str, rule: str
) -> None:
    original = getattr(publishing, step)

    def spoiled(connection, *arguments):
        original(connection, *arguments)
        connection.execute(statement)

    monkeypatch.setattr(publishing, step, spoiled)
    path = tmp_path / "a.duckdb"
    with pytest.raises(BuildError, match=rule):
        publish_small_atlas(path, intervals=False)
    assert not path.exists()


def test_a_failed_build_leaves_the_old_atlas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_small_atlas(tmp_path / "a.duckdb")
    before = path.read_bytes()
    monkeypatch.setattr(publishing, "check", lambda *_: (_ for _ in ()).throw(BuildError("no")))
    with pytest.raises(BuildError):
        publish_small_atlas(path, seed=1, intervals=False)
    assert path.read_bytes() == before


def test_a_unit_is_wholly_there_or_not_at_all(tmp_path: Path) -> None:
    with Staging(tmp_path / "a.duckdb") as staging:
        staging.start(LAYOUT, {"a": 1})
        good = pa.table({"token_id": [1], "token": ["x"], "norm": pa.array([1.0], pa.float32())})
        wrong = pa.table({"token_id": [2], "no_such_column": [1]})
        with pytest.raises(duckdb.Error, match="does not have a column"):
            staging.commit("vocabulary", "all", {"vocab": good, "concept": wrong})
        assert staging.rows("SELECT * FROM vocab") == []
        assert staging.done("vocabulary") == set()
        staging.commit("vocabulary", "all", {"vocab": good})
        assert staging.done("vocabulary") == {"all"}


def test_two_builds_of_one_atlas_exclude_each_other(tmp_path: Path) -> None:
    with Staging(tmp_path / "a.duckdb"):
        with pytest.raises(BuildError, match="another build"):
            Staging(tmp_path / "a.duckdb").acquire()
    Staging(tmp_path / "a.duckdb").acquire()


def test_resume_names_the_option_that_differs(tmp_path: Path) -> None:
    with Staging(tmp_path / "a.duckdb") as staging:
        assert not staging.interrupted()
        staging.start(LAYOUT, {"top": 32, "mode": "raw"})
        staging.write_state("k", "1")
        staging.write_state("k", "2")
    with Staging(tmp_path / "a.duckdb") as staging:
        assert staging.interrupted()
        assert staging.read_state("k") == "2"
        staging.resume({"top": 32, "mode": "raw"})
        with pytest.raises(BuildError, match="top = 32, this one has 16"):
            staging.resume({"top": 16, "mode": "raw"})
        staging.discard()
    assert not building_folder(tmp_path / "a.duckdb").exists()


# Killed in the middle of removing its folder.
DISCARD = """
import os, shutil, signal, sys
from pathlib import Path
from atlas.store.staging import Staging
shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
with Staging(Path(sys.argv[1])) as staging:
    (staging.folder / "scratch").mkdir()
    staging.discard()
"""


def test_what_a_killed_discard_leaves_the_next_build_removes(tmp_path: Path) -> None:
    target = tmp_path / "a.duckdb"
    assert subprocess.run([sys.executable, "-c", DISCARD, str(target)]).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("a.duckdb.building.") and (left / "scratch").is_dir()
    # Of a process that lives, of another target, and not ours at all.
    own = os.getpid()
    names = [
        f"a.duckdb.building.{os.getppid()}",
        f"b.duckdb.building.{left.suffix[1:]}",
        "a.duckdb.building.007",
        "a.duckdb.building.old",
    ]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / f"a.duckdb.building.{own}").mkdir()  # of a process that had our number
    with Staging(target) as staging:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, staging.folder.name])
        staging.discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
