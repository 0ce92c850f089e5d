"""What `build -o` may name: nothing but an atlas is replaced."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from atlas.errors import AtlasError, BuildError, UsageError
from atlas.store import publish
from atlas.store.evaluations import append_evaluations
from atlas.store.verify import OK, checks_of
from builders.build.pipeline import build
from builders.build.target import base_of
from builders.config import BuildConfig
from tests.atlas_factory import write_small_atlas
from tests.builders.evaluation.test_sidecar import rows
from tests.end_to_end.workbench import built, config
from tests.synthetic import make_model


def targets(folder: Path) -> list[str]:
    """Makes files that are no atlas, and names them."""
    (folder / "thesis.tex").write_text("mine")
    (folder / "empty.duckdb").touch()
    with duckdb.connect(str(folder / "own.duckdb")) as connection:
        connection.execute("CREATE TABLE thesis AS SELECT 42 AS answer")
    append_evaluations(folder / "a.evaluations.duckdb", rows("one"))
    atlas = write_small_atlas(folder / "whole.duckdb").read_bytes()
    (folder / "half.duckdb").write_bytes(atlas[: len(atlas) // 2])
    os.mkfifo(folder / "fifo")
    (folder / "to-null").symlink_to("/dev/null")
    (folder / "to-thesis").symlink_to("thesis.tex")
    (folder / "circle").symlink_to("circle")
    (folder / "folder").mkdir()
    return [name for name in sorted(os.listdir(folder)) if name != "whole.duckdb"]


@pytest.mark.parametrize("existing", ["refuse", "replace", "add"])
def test_what_is_no_atlas_is_left_alone(tmp_path: Path, existing: str) -> None:
    for name in [*targets(tmp_path), "x" * 300, "a\0b", "no/such/x"]:
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(AtlasError) as caught:
            build(BuildConfig(model=str(tmp_path / "no-model"), target=tmp_path / name), existing=existing)
        assert "\n" not in str(caught.value) and "no-model" not in str(caught.value), "refused only for its model"
        assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    with pytest.raises(UsageError, match="regular"):
        base_of(BuildConfig(model="m", target=Path("/dev/null")), "replace")


@pytest.mark.parametrize("version", [0, 1, 99])
def test_an_atlas_of_any_version_may_be_replaced(tmp_path: Path, version: int) -> None:
    path = write_small_atlas(tmp_path / "a.duckdb", schema_version=version)
    assert base_of(BuildConfig(model="m", target=path), "replace") is None


def contents(folder: Path) -> dict[str, bytes | str]:
    """All files and links below a folder."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    return {
        path.relative_to(folder).as_posix(): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in paths
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("kind", ["file beside", "a lock that says something", "a scratch of its own", "link", "log"])
def test_what_has_the_name_of_a_build_area_or_a_log_is_left_alone(model: Path, tmp_path: Path, kind: str) -> None:
    target, area = tmp_path / "a.duckdb", tmp_path / "a.duckdb.building"
    if kind == "link":
        (tmp_path / "papers").mkdir()
        (tmp_path / "papers" / "thesis.tex").write_text("mine")
        area.symlink_to("papers")
    elif kind == "log":
        (tmp_path / "a.duckdb.wal").write_text("mine")
    else:
        (area / "scratch").mkdir(parents=True)
        name = {"file beside": "thesis.tex", "a lock that says something": "lock"}.get(kind, "scratch/thesis.tex")
        (area / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(AtlasError, match=r"building|\.wal") as caught:
        built(model, target, None)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


def test_a_folder_with_the_name_of_a_removed_build_area_keeps_what_is_not_of_builds(
    model: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "a.duckdb.building.4194305"  # more than any process has
    (gone / "scratch").mkdir(parents=True)
    (gone / "staging.duckdb.wal").write_text("of a build")
    (gone / "thesis.tex").write_text("mine")
    built(model, tmp_path / "a.duckdb", None)
    assert contents(gone) == {"thesis.tex": b"mine"} and not (gone / "scratch").exists()


@pytest.mark.parametrize("length", [235, 239, 240, 246, 247, 255])
def test_a_name_is_refused_or_leaves_nothing_beside_the_atlas(model: Path, tmp_path: Path, length: int) -> None:
    target = tmp_path / ("a" * (length - 7) + ".duckdb")
    if length < 239:
        built(model, target, None)
        assert list(tmp_path.iterdir()) == [target]
        return
    with pytest.raises(BuildError, match="too long"):
        built(model, target, None)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_during_the_build_stays(model: Path, tmp_path: Path, monkeypatch) -> None:
    target, check = tmp_path / "a.duckdb", publish.check

    def another_comes(*arguments):
        target.write_text("mine")
        return check(*arguments)

    monkeypatch.setattr(publish, "check", another_comes)
    with pytest.raises(BuildError, match="another file than when"):
        built(model, target, None)
    assert target.read_text() == "mine"
    monkeypatch.undo()
    target.unlink()
    build(config(model, target, None), interrupted="resume")
    assert {check.result for check in checks_of(target)} == {OK} and os.listdir(tmp_path) == ["a.duckdb"]


def test_what_is_put_into_the_build_area_stays(model: Path, tmp_path: Path, monkeypatch) -> None:
    check = publish.check

    def note_is_left(*arguments):
        (tmp_path / "a.duckdb.building" / "note.txt").write_text("mine")
        return check(*arguments)

    monkeypatch.setattr(publish, "check", note_is_left)
    built(model, tmp_path / "a.duckdb", None)
    assert sorted(contents(tmp_path)) == ["a.duckdb", "a.duckdb.building/note.txt"]


@pytest.mark.parametrize("name", ["a?.duckdb", "which?/a.duckdb"])
def test_a_name_beside_which_duckdb_cannot_write_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    target.parent.mkdir(exist_ok=True)
    with pytest.raises(UsageError, match="question mark"):
        base_of(BuildConfig(model="none", target=target), "error")
    assert list(target.parent.iterdir()) == []
