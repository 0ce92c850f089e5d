"""hf: sources, with the real `datasets` library on local dataset folders (no network)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atlas.errors import CorpusError
from builders.corpora.registry import load_corpus

datasets = pytest.importorskip("datasets")

CARD = """---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': World
          '1': Sports
---
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "my_news"
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    write(folder / "train.jsonl", [1, 0, 1, 0])
    write(folder / "test.jsonl", [1, -1])
    return folder


def write(path: Path, labels: list[int]) -> None:
    path.write_text("".join(json.dumps({"text": f"t{i}", "label": k}) + "\n" for i, k in enumerate(labels)))


def test_class_labels_become_names(folder):
    corpus = load_corpus(f"hf:{folder}", concept_column="label", split="train")
    assert corpus.family == "my_news"
    assert corpus.concepts == ["Sports", "World"]
    assert corpus.texts == ["t0", "t1", "t2", "t3"] and corpus.labels == [0, 1, 0, 1]


def test_refusals(folder):
    with pytest.raises(CorpusError, match="row 2: has no label"):
        load_corpus(f"hf:{folder}", concept_column="label", split="test")
    with pytest.raises(CorpusError, match=r"no column 'concept'.*The columns are: text, label"):
        load_corpus(f"hf:{folder}", split="train")
    for source, split in [
        (f"hf:{folder}", "nosuch"),
        (f"hf:{folder}:nosuch", "train"),
        (f"hf:{folder}x", "train"),
    ]:
        with pytest.raises(CorpusError, match="cannot be loaded") as caught:
            load_corpus(source, split=split)
        assert "\n" not in str(caught.value)


def test_no_bars_on_standard_error(folder, capfd):
    datasets.enable_progress_bars()
    load_corpus(f"hf:{folder}", concept_column="label", split="train")
    assert capfd.readouterr().err == ""
    assert not datasets.are_progress_bars_disabled()
