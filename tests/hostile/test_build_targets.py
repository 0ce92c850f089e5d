"""What `build -o` may name: nothing but an atlas is replaced."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from atlas.errors import AtlasError, UsageError
from atlas.store.evaluations import append_evaluations
from builders.config import BuildConfig
from builders.pipeline import build
from builders.preparation import base_of
from tests.atlas_factory import write_small_atlas
from tests.evaluation.test_sidecar import rows


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


@pytest.mark.parametrize("name", ["a?.duckdb", "which?/a.duckdb"])
def test_a_name_beside_which_duckdb_cannot_write_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    target.parent.mkdir(exist_ok=True)
    with pytest.raises(UsageError, match="question mark"):
        base_of(BuildConfig(model="none", target=target), "error")
    assert list(target.parent.iterdir()) == []
