"""A model that was built from a folder is found again: where it was, where it moved with its atlas, or by --model."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from safetensors.torch import load_file, save_file

from atlas.__main__ import main
from atlas.errors import ModelError, SpecError
from atlas.live.intervene import check_model
from atlas.live.loading import load
from atlas.live.sources import resolve
from atlas.model_place import places, remembered
from atlas.spec.text import write_spec
from atlas.store.reader import open_atlas
from builders.spec_model import find, load_for
from queries.specs.make_spec import make_spec
from tests.end_to_end.workbench import built, write_corpus
from tests.synthetic import make_model


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder with a model in models/tiny and its atlas a.duckdb."""
    home = tmp_path_factory.mktemp("home")
    model = make_model("llama", home / "models" / "tiny")
    built(model, home / "a.duckdb", write_corpus(home / "words.jsonl"))
    return home


@pytest.fixture
def home(original, tmp_path, monkeypatch):
    """That folder moved; nobody may ask the network."""

    def asked(*args, **kwargs):
        pytest.fail("asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    monkeypatch.setattr(socket.socket, "connect", asked)
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(original, tmp_path / "moved")


def spec_of(file: Path):
    with open_atlas(file) as atlas:
        return make_spec(atlas, concept="pets", top=2, op="set=0")


def other_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    state = {name: tensor.clone() for name, tensor in load_file(weights).items()}
    state["model.embed_tokens.weight"][0, 0] += 1
    save_file(state, weights, {"format": "pt"})


def test_the_atlas_and_its_specs_say_where_it_was(original):
    with open_atlas(original / "a.duckdb") as atlas:
        assert atlas.manifest.model_path == str(original / "models" / "tiny")
        assert atlas.manifest.model_beside == "models/tiny"
    assert spec_of(original / "a.duckdb").source["model_path"] == str(original / "models" / "tiny")


def test_run_needs_no_option(original, home, capsys):
    spec = home / "pets.spec.json"
    write_spec(spec_of(original / "a.duckdb"), spec)
    asked = ["run", str(spec), "--prompt", "the dog", "--max-new-tokens", "0", "--format", "json", "--device", "cpu"]
    assert main(asked) == 0
    by_memory = json.loads(capsys.readouterr().out)
    assert main([*asked, "--model", str(original / "models" / "tiny")]) == 0
    assert json.loads(capsys.readouterr().out) == by_memory


def test_a_model_that_moved_with_its_atlas(original, home, monkeypatch):
    missing = str(home / "nowhere")
    with duckdb.connect(str(home / "a.duckdb")) as connection:
        connection.execute("UPDATE atlas SET model_path = ?", [missing])
    made = spec_of(home / "a.duckdb")
    assert made.source["model_path"] == str(home / "models" / "tiny")
    stale = replace(made, source={"model_path": missing})
    with open_atlas(home / "a.duckdb") as atlas:
        beside = places(atlas.manifest, atlas.path)
    assert beside == [missing, str(home / "models" / "tiny")]
    live = load_for(stale, beside=beside, device="cpu")
    assert live.fingerprint == made.model.fingerprint and live.source.path == home / "models" / "tiny"


def test_of_two_places_the_one_with_the_weights(original, home):
    made = spec_of(original / "a.duckdb")
    changed = shutil.copytree(home / "models" / "tiny", home / "changed")
    other_weights(changed)
    stale = replace(made, source={"model_path": str(changed)})
    assert load_for(stale, beside=[str(home / "models" / "tiny")], device="cpu").source.path.name == "tiny"
    with pytest.raises(SpecError, match="fingerprint") as error:
        check_model(load_for(stale, device="cpu"), stale)
    assert "--model" in error.value.hint


@pytest.mark.parametrize("command", ["run", "evaluate", "export"])
def test_a_model_that_is_gone_is_not_asked_of_the_hub(home, capsys, command):
    shutil.rmtree(home / "models")
    made = spec_of(home / "a.duckdb")
    gone = str(home / "models" / "elsewhere")
    spec = home / "pets.spec.json"
    check = {"prompt_ids": [3], "tokens": [4], "logprob_before": [-1.0], "logprob_after": [-1.0]}
    document = json.loads(write_text(replace(made, source={**made.source, "model_path": gone}), spec))
    spec.write_text(json.dumps(document | {"check": {**check, "tolerance": 0.1}}))
    with duckdb.connect(str(home / "a.duckdb")) as connection:
        connection.execute("UPDATE atlas SET model_path = ?", [gone])
    fresh = home / "fresh.jsonl"
    texts = [
        (f"{text} again", name) for name in ("pets", "sport", "state") for text in ("one dog", "two dogs", "a cat")
    ]
    fresh.write_text("".join(json.dumps({"text": text, "concept": name}) + "\n" for text, name in texts))
    options = {
        "run": [str(spec), "--prompt", "the dog"],
        "evaluate": [str(spec), "-a", str(home / "a.duckdb"), "--corpus", str(fresh), "--other-limit", "0"],
        "export": [str(spec), "--to", "hooks", "-o", str(home / "out.py")],
    }
    assert main([command, *options[command]]) == 5
    said = capsys.readouterr().err
    assert f"tiny is no longer at {gone}" in said and "--model" in said
    assert not (home / "out.py").exists()


def write_text(spec, path: Path) -> str:
    write_spec(spec, path)
    return path.read_text()


def test_a_file_s_name_is_not_asked_of_the_hub(home):
    made = replace(spec_of(home / "a.duckdb"), source={})
    with pytest.raises(ModelError, match="tiny") as error:
        load_for(made, device="cpu")
    assert "--model says where it is" in error.value.hint
    of_hub = replace(made, model=replace(made.model, id="someone/tiny"))
    assert (find(made)[0].ask_hub, find(of_hub)[0].ask_hub) == (False, True)


@pytest.mark.parametrize("path", [5, None, "", "models/tiny", "../moved/models/tiny", "/a\0b", "/" + "x" * 9000, ["/"]])
def test_what_is_no_absolute_path_is_not_followed(home, path):
    made = replace(spec_of(home / "a.duckdb"), source={"model_path": path})
    with pytest.raises(ModelError) as error:
        load_for(made, device="cpu")
    assert "--model" in error.value.hint


def test_a_place_that_holds_no_model(home):
    made = replace(spec_of(home / "a.duckdb"), source={"model_path": str(home)})
    with pytest.raises(ModelError, match=r"no config\.json") as error:
        load_for(made, device="cpu")
    assert "--model" in error.value.hint


def test_older_atlases_remember_nothing(home):
    file = home / "a.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("DROP TABLE _digest")
        for column in ("model_path", "model_beside"):
            connection.execute(f"ALTER TABLE atlas DROP COLUMN {column}")
    with open_atlas(file) as atlas:
        assert (atlas.manifest.model_path, atlas.manifest.model_beside) == (None, None)
        assert places(atlas.manifest, atlas.path) == []
    assert "model_path" not in spec_of(file).source
    assert main(["verify", str(file)]) == 0


def test_what_has_a_name_of_its_own_is_not_remembered(tmp_path, monkeypatch):
    assert remembered(None, tmp_path / "a.duckdb") == (None, None)
    assert remembered(tmp_path / "m", tmp_path / "sub" / "a.duckdb") == (str(tmp_path / "m"), "../m")
    assert remembered(Path("/m\udcff"), tmp_path / "a.duckdb") == (None, None)
    assert resolve("someone/tiny").path is None


def test_the_source_of_a_loaded_model(original):
    assert load(str(original / "models" / "tiny"), device="cpu").source.path == original / "models" / "tiny"
