"""The seal of a file: blocks that lie elsewhere show when it is opened, and nothing else does."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from atlas.__main__ import main
from atlas.errors import AtlasFileError
from atlas.store import seal
from atlas.store.evaluations import append_evaluations, open_evaluations
from atlas.store.reader import open_atlas
from atlas.store.seal import put_seal, remove_seal, seal_holds
from atlas.store.verify import BROKEN, Check, verify
from queries.sandbox.sandbox import run_sql
from tests.atlas_factory import write_small_atlas
from tests.builders.evaluation.test_sidecar import rows

HEADERS, BLOCK = 3 * 4096, 65_536


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("whole") / "a.duckdb")


def swapped(content: bytes, one: int, other: int, block: int = BLOCK) -> bytes:
    changed = bytearray(content)
    places = [slice(HEADERS + number * block, HEADERS + (number + 1) * block) for number in (one, other)]
    changed[places[0]], changed[places[1]] = content[places[1]], content[places[0]]
    return bytes(changed)


def test_every_swap_of_neighbours_is_refused_by_all_that_open(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    for number in range((len(content) - HEADERS) // BLOCK - 1):
        path = tmp_path / f"{number}.duckdb"
        path.write_bytes(swapped(content, number, number + 1))
        with pytest.raises(AtlasFileError, match="damaged"):
            open_atlas(path)
        with pytest.raises(AtlasFileError, match="damaged"):
            run_sql(path, "SELECT 1")
    assert next(verify(path)) == Check("blocks lie where they were written", BROKEN)


def test_a_header_that_changed_without_a_checkpoint_is_refused(whole: Path, tmp_path: Path) -> None:
    content = bytearray(whole.read_bytes())
    content[100] ^= 1  # of the main header, behind all that DuckDB reads of it
    path = tmp_path / "a.duckdb"
    path.write_bytes(content)
    assert seal_holds(path) is False


def test_the_seal_is_where_docs_schema_md_says(whole: Path) -> None:
    content = whole.read_bytes()
    assert (len(content) - HEADERS) % BLOCK == 32
    assert content[-32:-16] == b"neuron-atlas 01\n"
    assert int.from_bytes(content[-16:-12], "little") == BLOCK


def test_whoever_writes_with_duckdb_makes_it_say_nothing(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
    for statement in (
        "UPDATE vocab SET norm = 1",
        "CREATE TABLE t AS SELECT random() FROM range(100000)",
        "DROP TABLE t",
    ):
        with duckdb.connect(str(path)) as connection:
            connection.execute(statement)
            connection.execute("CHECKPOINT")
        assert seal_holds(path) is None
    with open_atlas(path) as atlas:
        assert atlas.query("SELECT DISTINCT norm FROM vocab")[1] == [(1.0,)]


def test_reading_with_duckdb_leaves_it(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT count(*) FROM atlas").fetchall() == [(1,)]
    assert seal_holds(path) is True


def test_a_file_without_a_seal_is_opened(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
    remove_seal(path)
    remove_seal(path)
    assert seal_holds(path) is None and path.stat().st_size == whole.stat().st_size - 32
    open_atlas(path).close()
    put_seal(path, BLOCK)
    put_seal(path, BLOCK)
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("cut", [1, 16, 31, 33])
def test_a_seal_that_is_cut_off_is_missed(whole: Path, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(whole.read_bytes()[:-cut])
    with pytest.raises(AtlasFileError, match="truncated"):
        open_atlas(path)


@pytest.mark.parametrize("size", [0, 1, 3, 2**31])
def test_a_size_that_no_block_has_costs_nothing(whole: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.duckdb"
    content = bytearray(whole.read_bytes())
    content[-16:-12] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert seal_holds(path) is False


def test_opening_leaves_a_large_file_to_verify(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(swapped(whole.read_bytes(), 0, 1))
    monkeypatch.setattr(seal, "CHEAP_BYTES", 100_000)
    seal.require_seal(path)
    assert seal_holds(path) is False


def test_evaluations_are_sealed_again_with_each(whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    atlas = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
    path = tmp_path / "a.evaluations.duckdb"
    for number in range(3):
        append_evaluations(path, rows(f"{number}"))
        assert seal_holds(path) is True
    path.write_bytes(swapped(path.read_bytes(), 0, 1, 262_144))
    with pytest.raises(AtlasFileError, match="damaged"), open_evaluations(path):
        pass
    with pytest.raises(AtlasFileError, match="damaged"):
        append_evaluations(path, rows("4"))
    assert main(["evaluations", "-a", str(atlas)]) == 3
    assert main(["verify", str(atlas)]) == 3
