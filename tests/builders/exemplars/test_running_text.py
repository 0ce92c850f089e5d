"""Documents of every source, and running text as tokens: cut, bounded, sharded, drawn from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from atlas.errors import CorpusError, UsageError
from atlas.live.loading import load
from builders.config import BuildConfig
from builders.corpora import parquet
from builders.exemplars import running_text
from builders.exemplars.documents import pieces
from builders.exemplars.running_text import read_running_text
from tests.exemplar_reference import mixed
from tests.synthetic import make_model

TEXTS = ["my dog runs", "the cat is good and the dog is sad .", "a match", "old minister wrote a text about money"]


def whole(source: Path | str, column: str = "text", split: str | None = None) -> list[str]:
    """The text of each document."""
    found: dict[int, str] = {}
    for piece in pieces(str(source), column, split):
        found[piece.number] = found.get(piece.number, "") + piece.text
    return list(found.values())


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    files = {kind: folder / f"a.{kind}" for kind in ("txt", "jsonl", "csv", "parquet")}
    files["txt"].write_text("\n".join(TEXTS))
    files["jsonl"].write_text("".join(json.dumps({"text": text, "concept": 3}) + "\n" for text in TEXTS))
    files["csv"].write_text("text,other\n" + "".join(f'"{text}",x\n' for text in TEXTS))
    pa.parquet.write_table(pa.table({"other": [1] * len(TEXTS), "text": TEXTS}), files["parquet"])
    return files


def test_every_format_gives_the_same_documents(sources, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_TOTAL", 1)  # of labelled corpora, which are held in memory
    assert whole(sources["txt"]) == ["\n".join(TEXTS)]
    for kind in ("jsonl", "csv", "parquet"):
        assert whole(sources[kind]) == TEXTS
    with pytest.raises(CorpusError, match="no column 'body'"):
        whole(sources["jsonl"], "body")


def test_a_dataset_is_streamed(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in [*TEXTS, ""]))
    assert whole(f"hf:{tmp_path}", split="train") == TEXTS
    with pytest.raises(CorpusError, match="needs a split"):
        whole(f"hf:{tmp_path}")
    with pytest.raises(CorpusError, match="cannot be loaded"):
        whole(f"hf:{tmp_path}", split="test")


def test_an_own_set_is_named():
    found = list(pieces("emotions", "text", None))
    assert len(found) > 100 and found[0].source == "emotions.jsonl" and found[-1].number == len(found)


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {bos: load(str(make_model("llama", folder / str(bos), add_bos=bos))) for bos in (True, False)}


def read(live, folder, *texts, **changes):
    texts = tuple(str(text) for text in texts)
    return read_running_text(BuildConfig(model="x", target=folder / "a.duckdb", texts=texts, **changes), live)


@pytest.mark.parametrize("bos", [True, False])
def test_documents_are_cut_and_nothing_is_lost(lives, sources, tmp_path, bos):
    found = read(lives[bos], tmp_path, sources["jsonl"], context_length=5)
    assert found.first_token == bos and found.max_tokens == 5
    said: dict[int, list[int]] = {}
    for text in range(len(found)):
        ids = found.tokens(text).tolist()
        assert len(ids) <= 5 and (ids[0] == 2) == bos
        number = int(found.documents_X[text])
        assert found.starts_X[text] == len(said.get(number, []))
        said[number] = said.get(number, []) + ids[bos:]
        assert found.counted(text).tolist() == [False] * bos + [True] * (len(ids) - bos)
    for number, ids in said.items():
        assert ids == lives[bos].tokenizer(TEXTS[number - 1], add_special_tokens=False)["input_ids"]
    assert found.n_counted == sum(map(len, said.values())) == found.n_drawn
    counts = found.token_counts(112)
    assert counts.sum() == found.n_counted and counts[2] == 0
    assert list(tmp_path.iterdir()) == []  # its file has no name


def test_it_ends_where_it_shall(lives, sources, tmp_path):
    found = read(lives[True], tmp_path, sources["jsonl"], context_length=5, max_tokens_total=12)
    assert 0 < len(found.tokens_E) <= 12
    with pytest.raises(CorpusError, match="no text in it"):
        read(lives[True], tmp_path, sources["jsonl"], max_tokens_total=1)
    with pytest.raises(UsageError, match="does not fit into a batch"):
        read(lives[True], tmp_path, sources["jsonl"], context_length=60, batch_tokens=20)
    with pytest.raises(UsageError, match="beside the first special one"):
        read(lives[True], tmp_path, sources["jsonl"], context_length=1)
    with pytest.raises(UsageError, match="about running text"):
        BuildConfig(model="x", target=tmp_path / "a", words=False)


def test_two_sources_of_one_name_are_refused(lives, sources, tmp_path):
    other = tmp_path / "b"
    other.mkdir()
    (other / "a.txt").write_text("the dog")
    with pytest.raises(UsageError, match=r"two texts are called a\.txt"):
        read(lives[True], tmp_path, sources["txt"], other / "a.txt")
    both = read(lives[True], tmp_path, sources["txt"], sources["csv"])
    assert both.sources == ("a.txt", "a.csv") and set(both.source_X) == {0, 1}


def test_a_short_text_is_shared_too():
    """Tokens of a unit, by hand: 8,192 at least, a quarter, 65,536 at most, or what makes 256 units."""
    for total, due in ((1, 8192), (39_430, 9858), (4 * 65_536, 65_536), (10_000_000, 65_536), (1 << 25, 1 << 17)):
        assert running_text.shard_tokens(total) == due


def test_shards_cover_all_texts_and_draws_follow_the_hash(lives, sources, tmp_path, monkeypatch):
    monkeypatch.setattr(running_text, "SHARD_TOKENS", 6)
    monkeypatch.setattr(running_text, "SAMPLED_TOKENS", 10)
    found = read(lives[True], tmp_path, sources["jsonl"], context_length=5, seed=9)
    assert [text for shard in found.shards for text in shard] == list(range(len(found))) and len(found.shards) > 3
    share = 10 / found.n_counted
    drawn = 0
    for text in range(len(found)):
        due = [
            mixed(mixed(mixed(9) ^ text) ^ mixed(at)) < int(share * 2.0**64) for at in range(len(found.tokens(text)))
        ]
        assert found.drawn(text).tolist() == (np.asarray(due) & found.counted(text)).tolist()
        drawn += int(found.drawn(text).sum())
    assert found.n_drawn == drawn
