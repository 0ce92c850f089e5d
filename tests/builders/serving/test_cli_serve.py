"""`serve --live` refuses another model than the atlas's before it listens, and what goes with it alone, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")

from atlas.__main__ import main
from tests.synthetic import make_model


@pytest.fixture(autouse=True)
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    calls: list[dict] = []
    monkeypatch.setattr("queries.web.serving.serve", lambda served, **options: calls.append(options))
    return calls


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.atlas_factory import write_small_atlas

    return write_small_atlas(tmp_path_factory.mktemp("serve") / "small.duckdb")


def test_another_model_is_refused_in_a_line(path, tmp_path, capsys, nobody_listens):
    model = make_model("llama", tmp_path / "llama")
    assert main(["serve", str(path), "--live", str(model), "--device", "cpu"]) == 5
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 2 and "is not the model of the atlas" in said[0] and "--live" in said[1]
    assert not nobody_listens


def test_a_model_that_is_not_there(path, tmp_path, capsys, nobody_listens):
    assert main(["serve", str(path), "--live", str(tmp_path / "absent")]) == 5
    assert "Traceback" not in capsys.readouterr().err and not nobody_listens


def test_a_device_without_a_model_is_refused(path, capsys, nobody_listens):
    assert main(["serve", str(path), "--device", "cpu"]) == 2
    assert "--live" in capsys.readouterr().err and not nobody_listens


def test_without_live_no_model_is_handed_on(path, nobody_listens):
    assert main(["serve", str(path)]) == 0
    assert [call["live"] for call in nobody_listens] == [None]


def test_an_embedder_of_an_atlas_without_vectors_and_none_at_all_are_refused(path, capsys, nobody_listens):
    assert main(["serve", str(path), "--embedder", "local:minilm"]) == 2
    assert "nothing is embedded in this atlas" in capsys.readouterr().err
    assert main(["serve", str(path), "--embedder", "nonsense"]) == 2
    assert "is no embedder" in capsys.readouterr().err and not nobody_listens
