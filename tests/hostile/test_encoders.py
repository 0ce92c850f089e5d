"""Encoders from strangers, and questions about another kind of model: refused in one line, nothing written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from atlas.__main__ import main
from atlas.errors import AtlasError
from atlas.live.loading import load
from tests.encoders import LABELS, make_encoder
from tests.synthetic import make_model

NUMBERED = {str(number): name for number, name in enumerate(LABELS)}
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("classifier", {"id2label": {}}),
    ("classifier", {"id2label": {"a": "sports", "b": "politics", "c": "science"}}),
    ("classifier", {"id2label": {**NUMBERED, "2": 3}}),
    ("classifier", {"id2label": {**NUMBERED, "2": ""}}),
    ("classifier", {"id2label": {**NUMBERED, "3": "cooking"}}),
    ("classifier", {"problem_type": "regression"}),
    ("mlm", {"architectures": ["LlamaForCausalLM"]}),
    ("mlm", {"hidden_act": "no_such_function"}),
    ("mlm", {"num_attention_heads": 5}),
    ("mlm", {"num_hidden_layers": 4}),
    ("mlm", {"intermediate_size": 25}),
    ("mlm", {"hidden_size": "16"}),
    ("mlm", {"is_decoder": True}),
    ("mlm", {"layer_norm_eps": "small"}),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest")
    for head in ("mlm", "classifier"):
        make_encoder("bert", head, folder / head)
    make_model("llama", folder / "decoder")
    (folder / "words.csv").write_text("text,concept\n" + "".join(f"the dog {n},{'ab'[n % 2]}\n" for n in range(20)))
    return folder


@pytest.mark.parametrize(("head", "change"), BROKEN, ids=[f"{head}-{change}"[:60] for head, change in BROKEN])
def test_a_broken_config_is_refused_in_one_line(
    head: str, change: dict[str, Any], models: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(models / head, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(AtlasError) as caught:
        load(str(folder), device="cpu")
    assert caught.value.message and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "position", "said"),
    [
        ("decoder", "cls", "puts no token before a text that a head could read"),
        ("decoder", "mask", "has no mask token"),
    ],
)
def test_a_position_of_another_kind_of_model(model, position, said, models: Path, tmp_path: Path, capfd) -> None:
    words = f"words={models / 'words.csv'}"
    line = ["build", str(models / model), "-o", str(tmp_path / "a.duckdb"), "--concepts", words, "--position", position]
    assert main([*line, "--device", "cpu"]) > 0
    errors = [row for row in capfd.readouterr().err.splitlines() if row.startswith("error: ")]
    assert len(errors) == 1 and said in errors[0] and "unexpected" not in errors[0]
    assert os.listdir(tmp_path) == []


def test_a_spec_of_a_decoder_does_not_run_on_an_encoder(models: Path, tmp_path: Path, capfd) -> None:
    dims = {"n_layers": 3, "d_model": 16, "d_mlp": 24, "gated": True}
    spec = {
        "format": "neuron-atlas/intervention",
        "version": 1,
        "model": {"id": "decoder", "fingerprint": f"sha256v2:{'0' * 64}", **dims},
        "tokenization": {"add_bos": False, "chat_template": False},
        "phase": "all",
        "positions": "all",
        "edits": [{"site": "mlp_pre_linear", "layer": 1, "neuron": 2, "op": "set", "value": 1.0}],
    }
    (tmp_path / "s.json").write_text(json.dumps(spec))
    for model in ("mlm", "classifier"):
        line = ["run", str(tmp_path / "s.json"), "--model", str(models / model), "--prompt", "the [MASK]"]
        assert main([*line, "--device", "cpu"]) > 0
        errors = [row for row in capfd.readouterr().err.splitlines() if row.startswith("error: ")]
        assert len(errors) == 1 and "unexpected" not in errors[0]
    assert os.listdir(tmp_path) == ["s.json"]
