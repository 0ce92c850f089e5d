"""Rows that wait as files: they count when their unit is committed, and in that order."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from atlas.errors import BuildError
from atlas.schema.statements import Layout
from atlas.store import waiting
from atlas.store.staging import Staging

LAYOUT = Layout(4, 5, 8, 2, 16)


def background(neuron: int) -> pa.Table:
    return pa.table({"neuron": pa.array([neuron], pa.int32())})


def neurons(staging: Staging) -> list[int]:
    return waiting.read(staging.waiting("_background")).read_all()["neuron"].to_pylist()


@pytest.fixture
def staging(tmp_path: Path):
    with Staging(tmp_path / "a.duckdb") as staging:
        staging.start(LAYOUT, {"a": 1})
        yield staging


def test_rows_come_in_the_order_of_the_commits_also_after_a_resume(staging: Staging) -> None:
    for unit in ("b/mlp_post/10", "b/mlp_post/9", "a/mlp_post/9"):
        staging.commit("gaussians", unit, {"_background": background(len(unit))})
    staging.release()
    with Staging(staging.target) as resumed:
        assert neurons(resumed) == [13, 12, 12]
        assert resumed.waiting("_gaussian") == []


def test_a_failed_commit_leaves_nothing_and_can_be_repeated(staging: Staging) -> None:
    wrong = pa.table({"no_such_column": [1]})
    with pytest.raises(duckdb.Error, match="does not have a column"):
        staging.commit("gaussians", "0", {"_background": background(1), "concept": wrong})
    assert staging.waiting("_background") == []
    staging.commit("gaussians", "0", {"_background": background(2)})
    assert neurons(staging) == [2]


def test_starting_over_forgets_them(staging: Staging) -> None:
    staging.commit("gaussians", "0", {"_background": background(1)})
    staging.start(LAYOUT, {"a": 1})
    assert staging.waiting("_background") == []
    staging.commit("gaussians", "0", {})
    assert staging.waiting("_background") == []


def test_a_damaged_or_missing_file_is_named(staging: Staging) -> None:
    staging.commit("gaussians", "0", {"_background": background(1)})
    (file,) = (staging.folder / "waiting" / "_background").iterdir()
    for damaged in (b"", file.read_bytes()[:-20]):
        file.write_bytes(damaged)
        with pytest.raises(BuildError, match=f"{file.name} is damaged"):
            staging.waiting("_background")
    file.unlink()
    with pytest.raises(BuildError, match=f"{file.name} is damaged or gone"):
        staging.waiting("_background")


def test_batches_outlive_their_file(staging: Staging) -> None:
    """A reader that is ahead holds rows of files that are closed by then."""
    for unit in range(3):
        staging.commit("gaussians", str(unit), {"_background": pa.table({"neuron": np.arange(10_000) + unit})})
    batches = list(waiting.read(staging.waiting("_background")))
    for unit, batch in enumerate(batches):
        np.testing.assert_array_equal(batch["neuron"].to_numpy(), np.arange(10_000) + unit)
