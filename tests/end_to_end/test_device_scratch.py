"""A build that keeps its activations on the device, as it does on a GPU: the same rows, also after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import builders.activations.reader
from atlas.store.staging import Staging
from builders.activations.scratch import DeviceScratch
from builders.build.pipeline import build
from tests.end_to_end.workbench import all_rows, built, config, write_corpus
from tests.synthetic import make_model


class Killed(Exception):
    pass


def test_the_rows_are_the_same_and_a_killed_build_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, corpus = make_model("llama", tmp_path / "model"), write_corpus(tmp_path / "words.jsonl")
    expected = all_rows(built(model, tmp_path / "disk.duckdb", corpus))
    monkeypatch.setattr(builders.activations.reader, "scratch_for", lambda *_: DeviceScratch(torch.device("cpu")))
    assert all_rows(built(model, tmp_path / "device.duckdb", corpus)) == expected

    commit = Staging.commit

    def killed_at_the_second_layer(self: Staging, step: str, unit: str, tables: dict) -> None:
        if step == "gaussians" and unit.endswith("/1"):
            raise Killed
        commit(self, step, unit, tables)

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "commit", killed_at_the_second_layer)
        with pytest.raises(Killed):
            built(model, tmp_path / "killed.duckdb", corpus)
    resumed = build(config(model, tmp_path / "killed.duckdb", corpus), interrupted="resume").path
    assert all_rows(resumed) == expected
