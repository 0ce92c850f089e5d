"""A file that was looked through is not looked through again, until anything of it changes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import duckdb
import pytest

from atlas.errors import AtlasFileError
from atlas.store import atlas_row, reader, seen
from atlas.store.reader import open_atlas
from tests.atlas_factory import write_small_atlas


@pytest.fixture
def looked(monkeypatch, tmp_path) -> list[int]:
    """A cache of its own; the list grows with every look through a file."""
    monkeypatch.setenv(seen.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(seen, "_SETTLED_S", 0.05)
    calls: list[int] = []
    real = atlas_row.read_objects
    monkeypatch.setattr(atlas_row, "read_objects", lambda connection: calls.append(1) or real(connection))
    return calls


def _settled(path: Path) -> Path:
    time.sleep(0.1)
    return path


def _open(path: Path) -> None:
    with open_atlas(path) as atlas:
        assert atlas.query("SELECT count(*) FROM atlas")[1] == [(1,)]


def test_nothing_else_is_compared_twice(looked, tmp_path, monkeypatch):
    path = _settled(write_small_atlas(tmp_path / "a.duckdb"))
    calls = []
    for name in ("require_seal", "require_sound"):
        real = getattr(reader, name)
        monkeypatch.setattr(reader, name, lambda *given, name=name, real=real: calls.append(name) or real(*given))
    for _ in range(3):
        _open(path)
    assert calls == ["require_seal", "require_sound"]


def test_once_is_enough(looked, tmp_path):
    path = _settled(write_small_atlas(tmp_path / "a.duckdb"))
    for _ in range(3):
        _open(path)
    assert len(looked) == 1


def test_a_fresh_file_is_looked_through_each_time(looked, tmp_path, monkeypatch):
    monkeypatch.setattr(seen, "_SETTLED_S", 3600.0)
    path = write_small_atlas(tmp_path / "a.duckdb")
    _open(path)
    _open(path)
    assert len(looked) == 2


def test_a_change_in_place_shows_even_with_the_old_times(looked, tmp_path):
    path = _settled(write_small_atlas(tmp_path / "a.duckdb"))
    _open(path)
    before = os.stat(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE MACRO sum(x) AS 7")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(AtlasFileError, match="not ours"):
        open_atlas(_settled(path))
    with pytest.raises(AtlasFileError, match="not ours"):
        open_atlas(path)  # what was refused is not remembered


def test_another_file_in_its_place(looked, tmp_path):
    path = _settled(write_small_atlas(tmp_path / "a.duckdb"))
    _open(path)
    other = write_small_atlas(tmp_path / "b.duckdb")
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE VIEW more AS SELECT 1 AS one")
    os.replace(other, path)
    with pytest.raises(AtlasFileError, match="not ours"):
        open_atlas(_settled(path))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"", b"1 2 3\n" * 1000])
def test_a_cache_in_any_state_changes_no_answer(looked, tmp_path, content):
    place = tmp_path / "cache" / "neuron-atlas" / "looked-through"
    if content is None:  # a file where the folder should be
        (tmp_path / "cache").write_bytes(b"")
    else:
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    path = _settled(write_small_atlas(tmp_path / "a.duckdb"))
    _open(path)
    _open(path)
    assert len(looked) == (2 if content is None else 1)
    if place.exists():
        assert place.stat().st_size < 20_000
