"""Workers that leave activations for each other in a folder that is not the build's: the rows of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from atlas.errors import BuildError, UsageError
from atlas.store.staging import building_folder
from builders.activations.storage import Storage, check_blocks
from builders.build.pipeline import build
from builders.config import BuildConfig
from builders.intervals.product import IntervalProduct
from tests.builders.workers.conftest import Heard, passing_of
from tests.builders.workers.options import OPTIONS
from tests.end_to_end.workbench import all_rows, built, config
from tests.synthetic import make_model

pytestmark = pytest.mark.usefixtures("in_threads")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "else where"
    folder.mkdir()
    return folder


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def differing(found: dict, alone: dict) -> list[str]:
    return [table for table in alone if found[table] != alone[table]]


def test_the_rows_are_those_of_one_process(
    model: Path, corpus: Path, alone: dict, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, names = Storage.put, []

    def counted(self: Storage, folder: Path, name: str) -> None:
        put(self, folder, name)
        names.extend(files_of(elsewhere))

    monkeypatch.setattr(Storage, "put", counted)
    options = config(model, tmp_path / "b.duckdb", corpus, texts=(str(corpus),), **OPTIONS)
    sent = passing_of(monkeypatch)
    assert differing(all_rows(build(options, workers=2, blocks=str(elsewhere)).path), alone) == []
    assert {path.name for path in names} >= {"mlp_post.L0.f32", "mlp_post.L1.f32"}
    # A worker that sees no file of the host is sent the rows, and only those of its own place.
    assert sent and not any(passing.files for passing in sent.values())
    places = [
        set(sent[f"exemplars place/mlp_post/{layer}"].rows["_noted_firing"]["place"].to_pylist()) for layer in range(3)
    ]
    assert places == [{0}, {1}, {2}]
    assert files_of(elsewhere) == []
    assert not building_folder(options.target).exists()


def test_a_mixture_of_experts(corpus: Path, elsewhere: Path, tmp_path: Path) -> None:
    mixture = make_model("qwen2_moe", tmp_path / "model")
    alone = all_rows(built(mixture, tmp_path / "a.duckdb", corpus))
    options = config(mixture, tmp_path / "b.duckdb", corpus)
    assert differing(all_rows(build(options, workers=2, blocks=str(elsewhere)).path), alone) == []


def begin(model: Path, corpus: Path, target: Path, patch: pytest.MonkeyPatch, blocks: Path | None) -> BuildConfig:
    """The options of a build that has failed after its forward pass."""
    options = config(model, target, corpus, texts=(str(corpus),), **OPTIONS)

    def fails(*_: Any) -> Any:
        raise BuildError("out of luck")

    with patch.context() as within:
        within.setattr(IntervalProduct, "work", fails)
        with pytest.raises(BuildError, match="out of luck"):
            build(options, workers=2, blocks=None if blocks is None else str(blocks))
    assert not target.exists()
    return options


@pytest.fixture
def begun(model: Path, corpus: Path, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildConfig:
    options = begin(model, corpus, tmp_path / "b.duckdb", monkeypatch, elsewhere)
    assert files_of(elsewhere) != []
    return options


def test_one_process_goes_on_with_it(begun: BuildConfig, alone: dict, elsewhere: Path) -> None:
    assert differing(all_rows(build(begun, interrupted="resume").path), alone) == []
    assert files_of(elsewhere) == []


def test_elsewhere_is_one_place(begun: BuildConfig, tmp_path: Path) -> None:
    (tmp_path / "third").mkdir()
    with pytest.raises(UsageError, match="the blocks of this build are at file://"):
        build(begun, interrupted="resume", workers=2, blocks=str(tmp_path / "third"))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"short")])
def test_what_is_gone_or_another_is_named(begun: BuildConfig, elsewhere: Path, damage: Any) -> None:
    damage(next(path for path in files_of(elsewhere) if path.name == "mlp_post.L1.f32"))
    with pytest.raises(BuildError, match=r"mlp_post\.L1\.f32.* is gone"):
        build(begun, interrupted="resume", workers=2)
    assert not begun.target.exists()


def test_a_network_that_is_cut(
    model: Path, corpus: Path, alone: dict, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: the task is tried again. Always: it is named, and the rest is made."""
    options = config(model, tmp_path / "b.duckdb", corpus, texts=(str(corpus),), **OPTIONS)
    put, heard = LocalFileSystem.put, Heard()
    failing = [True, False]

    def cut(self: Any, *rest: Any, **more: Any) -> Any:
        if failing[min(len(cuts), len(failing) - 1)]:
            cuts.append(1)
            raise OSError("no route to host")
        return put(self, *rest, **more)

    cuts: list[int] = []
    monkeypatch.setattr(LocalFileSystem, "put", cut)
    with pytest.raises(BuildError, match=r"cannot write to file://.*: no route to host"):
        failing[:] = [True]
        build(options, workers=2, blocks=str(elsewhere), progress=heard)
    assert any(": decode " in event for event in heard.events)
    failing[:], cuts[:] = [True, False], []
    found = all_rows(build(options, interrupted="resume", workers=2, progress=heard).path)
    assert any("tried again: cannot write to" in event for event in heard.events) and differing(found, alone) == []


def test_blocks_that_are_beside_the_build(
    model: Path, corpus: Path, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = begin(model, corpus, tmp_path / "b.duckdb", monkeypatch, None)
    with pytest.raises(UsageError, match="the blocks of this build are beside it"):
        build(options, interrupted="resume", workers=2, blocks=str(elsewhere))


def test_what_no_place_is(tmp_path: Path) -> None:
    assert check_blocks(None, workers=False) is None
    assert check_blocks(str(tmp_path), workers=True) == f"file://{tmp_path}"
    for said, workers, why in (
        (str(tmp_path), False, "there are none"),
        (str(tmp_path / "none"), True, "there is no folder"),
        ("https://example.org/x", True, "no blocks are left at"),
        ("hf://datasets/a/b", True, "no blocks are left at"),
        ("nothing://x", True, "nothing://"),
    ):
        with pytest.raises(UsageError, match=why):
            check_blocks(said, workers=workers)
