"""Shards of a build: put together they are the build, and what does not belong together is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from atlas.errors import AtlasError, BuildError, UsageError
from builders.build.job import Share
from builders.shards.command import build_shard, merge, parse_share
from tests.builders.workers.test_workers import ALL
from tests.end_to_end.workbench import all_rows, built, config, write_corpus
from tests.synthetic import make_model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    make_model("llama", folder / "model")
    write_corpus(folder / "words.jsonl")
    return folder


def shard(place: Path, index: int, count: int = 2, name: str = "a.duckdb", **changes: object) -> Path:
    """The folder of a shard."""
    fields = {"texts": (str(place / "words.jsonl"),), **ALL, **changes}
    options = config(place / "model", place / name, place / "words.jsonl", **fields)
    return build_shard(options, Share(index, count)).path


@pytest.fixture(scope="module")
def both(place: Path) -> list[Path]:
    return [shard(place, 1), shard(place, 2)]


def test_put_together_they_are_the_build(place: Path, both: list[Path], tmp_path: Path) -> None:
    assert [path.name for path in both] == ["a.duckdb.shard-1-of-2", "a.duckdb.shard-2-of-2"]
    said = [json.loads((path / "shard.json").read_text())["units"] for path in both]
    for product in said[0]:  # neither has all
        assert not said[0][product].keys() & said[1][product].keys()
    texts = (str(place / "words.jsonl"),)
    expected = all_rows(built(place / "model", tmp_path / "one.duckdb", place / "words.jsonl", texts=texts, **ALL))
    found = all_rows(merge(both[::-1], tmp_path / "merged.duckdb").path)
    assert [table for table in expected if found[table] != expected[table]] == []


def refused(match: str, shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(AtlasError, match=match):
        merge(shards, tmp_path / "merged.duckdb")
    assert not list(tmp_path.glob("merged*"))


def test_what_does_not_belong_together(place: Path, both: list[Path], tmp_path: Path) -> None:
    first, second = both
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    refused(r"shard is missing: 2 of 2", [first], tmp_path)
    refused(r"1-of-2 and .*copy are both shard 1 of 2", [first, copy, second], tmp_path)
    (copy / "shard.json").unlink()
    refused(r"copy is not finished", [copy, second], tmp_path)
    refused(r"is no shard", [tmp_path, second], tmp_path)
    other = shard(place, 2, name="other.duckdb", top=5)
    refused(r"other.duckdb.shard-2-of-2 is of another build than .*: top is 5, not 6", [first, other], tmp_path)
    third = shard(place, 3, 3, "third.duckdb", texts=(), detectors=False, gradients=False, targets=())
    refused(r"third.duckdb.shard-3-of-3 is one of 3", [first, third], tmp_path)
    with pytest.raises(UsageError, match=r"a.duckdb.shard-1-of-2 exists"):
        shard(place, 1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"software": "0.0"}, "made by another version"),
        ({"format": "x"}, "no shard that this version reads"),
        ({"index": 7}, "damaged"),
        ({"units": []}, "damaged"),
        ({"config": {"model": 5}}, "options that no build has"),
        ({"parameters": {}}, "is of another build"),
    ],
)
def test_what_a_mark_may_not_say(both: list[Path], tmp_path: Path, change: dict, match: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(both[0], copy)
    said = json.loads((copy / "shard.json").read_text())
    (copy / "shard.json").write_text(json.dumps({**said, **change}))
    refused(match, [copy, both[1]], tmp_path)


def test_another_model_text_or_file(place: Path, both: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(both[0], copy)
    with open(next(copy.rglob("_decoding.arrow")), "ab") as file:
        file.write(b"x")
    with pytest.raises(BuildError, match=r"_decoding.arrow is damaged"):
        merge([copy, both[1]], tmp_path / "merged.duckdb")
    words = place / "words.jsonl"
    before = words.read_text()
    try:
        words.write_text(before.replace("my dog runs", "my dog sleeps"))
        with pytest.raises(BuildError, match="is of another build than what is here now: corpora"):
            merge(both, tmp_path / "other.duckdb")
    finally:
        words.write_text(before)


def test_parts_of_a_build() -> None:
    units = [str(index) for index in range(7)]
    for count in (1, 2, 3, 7, 9):
        assert [unit for index in range(count) for unit in Share(index + 1, count).of(units)] == units
    assert parse_share("2/3") == Share(2, 3)
    for text in ("0/2", "3/2", "1", "1/0", "-1/2", "a/b", "1/99999"):
        with pytest.raises(UsageError, match="--shard"):
            parse_share(text)
