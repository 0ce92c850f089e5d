"""The benchmark of the host: prepared rows come through workers as they were, and what it measures adds up."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path

import pyarrow as pa
import pytest

from atlas.store.reader import open_atlas
from benchmarks.common.synthetic_atlas import SCALES, Scale
from benchmarks.speed import host

TINY = Scale("tiny", 2, 96, 16, 4096)
SECONDS = 0.1
LISTS = ["raised_token", "raised_logit", "lowered_token", "lowered_logit"]


def test_prepared_rows_come_through_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published, publish = [], host.publish

    def keeps(*arguments):
        path = publish(*arguments)
        with open_atlas(path) as atlas:
            published.append(atlas.query(f"SELECT {', '.join(LISTS)} FROM _decoding ORDER BY nid")[1])
        return path

    monkeypatch.setattr(host, "publish", keeps)
    begun = time.perf_counter()
    measured = host.measure(TINY, tmp_path, n_workers=2, seconds=SECONDS)
    took = time.perf_counter() - begun
    files = (tmp_path / "prepared" / "_decoding").iterdir()
    rows = [row for file in files for row in pa.ipc.open_file(file).read_all().select(LISTS).to_pylist()]
    assert len(rows) == 3 * TINY.n_layers * TINY.d_mlp
    as_stored = [dict(zip(LISTS, map(list, row), strict=True)) for row in published[0]]
    assert sorted(as_stored, key=repr) == sorted(rows, key=repr)
    assert published[0] == published[1]
    # 10 units by two workers, each of which sleeps: the first of each is not counted.
    assert measured.answers >= (10 / 2 - 1) * SECONDS
    assert measured.answers + measured.after + measured.publishing < took


def test_the_claim_says_whether_the_goal_is_met() -> None:
    options = Namespace(scale="8b", layers=8, workers=8, seconds=0.25, memory="2GB", rounds=3)
    for after, met in ((11.9, True), (12.1, False)):
        claim = host.claim(options, SCALES["8b"], host.Measured(30.0, after, 10.0))
        assert claim.goals[0].met is met and claim.goals[0].measured == f"{after / 10:.2f}"
        assert claim.name == "host-8b" and "--layers 8 --workers 8 --seconds 0.25" in claim.command
