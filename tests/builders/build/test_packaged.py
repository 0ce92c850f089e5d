"""The table of packaged models and where their files are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from atlas import packaged
from atlas.errors import UnknownNameError

ROOT = Path(__file__).resolve().parents[3]


def test_the_table_is_complete():
    for name, model in packaged.packaged_models().items():
        assert model.name == name
        assert len(model.sha256) == 64 and int(model.sha256, 16)
        assert all((model.package, model.version, model.file, model.licence, model.description))


def test_an_unknown_name_suggests():
    with pytest.raises(UnknownNameError, match="Did you mean smollm2-135m"):
        packaged.packaged_model("smollm-135m")


def test_where_models_live(monkeypatch, tmp_path):
    monkeypatch.delenv("NEURON_ATLAS_DATA", raising=False)
    assert packaged.models_dir() == ROOT / "data" / "models"
    monkeypatch.setenv("NEURON_ATLAS_DATA", str(tmp_path))
    assert packaged.models_dir() == tmp_path / "models"
    assert packaged.model_file("smollm2-135m") is None
    path = packaged.model_path("smollm2-135m")
    assert path == tmp_path / "models" / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    path.parent.mkdir(parents=True)
    path.touch()
    assert packaged.model_file("smollm2-135m") == path


def test_an_installed_copy_reads_the_shipped_table_and_a_user_folder(monkeypatch, tmp_path):
    (tmp_path / "models.toml").write_text((ROOT / "data" / "models.toml").read_text())
    monkeypatch.setattr(packaged, "_BESIDE_THE_PACKAGES", tmp_path / "not" / "here")
    monkeypatch.setattr(packaged, "_IN_THE_WHEEL", tmp_path)
    monkeypatch.delenv("NEURON_ATLAS_DATA", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert "smollm2-135m" in packaged.packaged_models()
    assert packaged.models_dir() == tmp_path / "share" / "neuron-atlas" / "models"
