"""A forward pass in blocks, in any order, by several and after kills: the files of one process, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atlas.errors import BuildError
from atlas.store.staging import Staging
from builders.activations.blocks import Blocks, divided
from builders.activations.reader import open_reader
from builders.build.inputs import load_model, prepare, read_corpora
from builders.build.plan import Plan
from builders.build.product import Place
from builders.build.products import wanted
from builders.progress import Silent
from tests.end_to_end.workbench import config, write_corpus
from tests.synthetic import make_model

SITES = ("mlp_post", "resid_post")


@pytest.fixture(scope="module", params=["llama", "qwen2_moe"])
def plan(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("blocks")
    model, corpus = make_model(request.param, folder / "model"), write_corpus(folder / "words.jsonl")
    options = config(model, folder / "a.duckdb", corpus, sites=SITES, position="mean", batch_tokens=12)
    return prepare(options, load_model(options, None, wanted(options)), read_corpora(options), [])


def staging_in(folder: Path) -> Staging:
    from atlas.schema.statements import Layout

    folder.mkdir()
    staging = Staging(folder / "a.duckdb")
    staging.acquire()
    staging.start(Layout(6, 5, 16, 2, 32), {"a": 1})
    return staging


def files_of(staging: Staging) -> dict[str, bytes]:
    paths = [path for path in staging.scratch.rglob("*32") if path.suffix in (".f32", ".i32")]
    return {str(path.relative_to(staging.scratch)): path.read_bytes() for path in paths if path.stat().st_size}


@pytest.mark.parametrize("before", [0, 2])
def test_joined_they_are_the_files_of_one_process(plan: Plan, before: int, tmp_path: Path) -> None:
    """`before`: batches that one process had recorded before it was killed, and half of another."""
    [reading], places = plan.readings, [Place(site, layer) for site in SITES for layer in plan.layers]
    alone, shared = staging_in(tmp_path / "alone"), staging_in(tmp_path / "shared")
    open_reader(plan, reading, places, alone, Silent())
    expected = files_of(alone)
    if before:
        open_reader(plan, reading, places, shared, Silent())
        shared.write_state("activations/words", json.dumps({"batches": before}))
    blocks = divided(plan, reading, places, shared, begin=True)
    assert blocks is not None and len(blocks.blocks) > 2
    again = divided(plan, reading, places, shared, begin=False)
    assert again is not None and again.blocks == blocks.blocks and blocks.blocks[0].start == before
    for block in [*blocks.blocks[1::2], *blocks.blocks[::2][::-1], *blocks.blocks[:2]]:  # some are made twice
        (again if block.start % 2 else blocks).run(block)
    join_killed_once(blocks, places[0])
    for place in places[::-1]:
        again.join(place)
        blocks.join(place)
    assert files_of(shared) == expected
    assert not [path for path in (blocks.folder / "blocks").rglob("*") if path.is_file()]


@pytest.mark.parametrize("harm", ["gone", "short"])
def test_a_block_that_is_not_whole_is_named(plan: Plan, harm: str, tmp_path: Path) -> None:
    [reading], place = plan.readings, Place("mlp_post", 0)
    blocks = divided(plan, reading, [place], staging_in(tmp_path / "a"), begin=True)
    assert blocks is not None
    for block in blocks.blocks:
        blocks.run(block)
    suffixes = {".f32"} if harm == "short" else {".f32", ".i32"}
    [first, *_] = sorted(path for path in (blocks.folder / "blocks").rglob("*L0*") if path.suffix in suffixes)
    if harm == "gone":
        first.unlink()
    else:
        first.write_bytes(first.read_bytes()[:-4])
    whole = {path: path.read_bytes() for path in blocks.folder.rglob("*.f32") if path != first}
    with pytest.raises(BuildError, match="gone or damaged") as refused:
        blocks.join(place)
    assert str(first) in str(refused.value)
    kept = {path: path.read_bytes() for path in blocks.folder.rglob("*.f32") if path in whole}
    assert kept == whole  # nothing was put together


def join_killed_once(blocks: Blocks, place: Place) -> None:
    """As if a process had been killed while it joined: some bytes are there, the mark is not, and all blocks are."""
    for path in blocks.folder.glob(f"*.L{place.layer}.f32"):
        with open(path, "ab") as file:
            file.write(b"\x01" * 12)


def test_without_workers_nothing_is_divided(plan: Plan, tmp_path: Path) -> None:
    staging = staging_in(tmp_path / "a")
    assert divided(plan, plan.readings[0], [Place("mlp_post", 0)], staging, begin=False) is None
