"""A statement ends when its time is over, whoever says how long that is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from atlas.errors import QuestionError, UsageError
from atlas.store.reader import open_atlas
from atlas.time_limit import time_limit
from tests.atlas_factory import write_small_atlas

FOR_EVER = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE hash(a.range, b.range) = 1"
SHORT = "SELECT count(*) FROM range(10000000)"
_HANG_S = 30.0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("limit") / "small.duckdb")


@pytest.mark.parametrize("how", ["rows", "arrow", "arrays", "together"])
def test_a_question_is_stopped(path: Path, how: str) -> None:
    began = time.monotonic()
    with open_atlas(path, 0.5) as atlas, pytest.raises(QuestionError, match="longer than it may") as refused:
        if how == "together":
            atlas.rows([FOR_EVER, "SELECT 1"])
        else:
            {"rows": atlas.query, "arrow": atlas.arrow, "arrays": atlas.arrays}[how](FOR_EVER)
    assert time.monotonic() - began < _HANG_S
    assert "--timeout" in refused.value.hint


def test_the_atlas_answers_the_next_question(path: Path) -> None:
    with open_atlas(path, 0.5) as atlas:
        with pytest.raises(QuestionError):
            atlas.query(FOR_EVER)
        assert atlas.query("SELECT 7")[1] == [(7,)]


def test_the_environment_says_how_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURON_ATLAS_TIMEOUT", "0.5")
    with open_atlas(path) as atlas, pytest.raises(QuestionError, match="longer than it may"):
        atlas.query(FOR_EVER)
    with open_atlas(path, 0) as atlas:
        assert atlas.query(SHORT)[1] == [(10_000_000,)]


def test_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURON_ATLAS_TIMEOUT", raising=False)
    assert (time_limit(None), time_limit(0), time_limit(2.5)) == (60.0, None, 2.5)
    monkeypatch.setenv("NEURON_ATLAS_TIMEOUT", "7")
    assert (time_limit(None), time_limit(3)) == (7.0, 3.0)


@pytest.mark.parametrize("given", [-1.0, float("nan"), float("inf"), 1e6])
def test_what_is_no_time_is_refused(path: Path, given: float) -> None:
    with pytest.raises(UsageError, match="no number of seconds"):
        open_atlas(path, given)


def test_an_environment_that_says_nonsense_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURON_ATLAS_TIMEOUT", "soon")
    with pytest.raises(UsageError, match="soon"):
        open_atlas(path)
