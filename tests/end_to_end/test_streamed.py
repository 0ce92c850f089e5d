"""A build that needs weights alone reads them from the checkpoint's files, and makes the rows of the loaded model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from atlas.errors import ModelError
from atlas.live import loading
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.vocabulary import vocabulary
from atlas.manifest import Manifest
from builders.build.plan import Plan
from builders.config import BuildConfig
from builders.decoding.decode import Decoder
from builders.decoding.product import PRODUCT as DECODE
from builders.weights.product import PRODUCT as WEIGHTS
from builders.weights.work import Weigher
from tests.amount import some
from tests.end_to_end.workbench import all_rows, built, write_corpus
from tests.synthetic import FAMILIES, make_model

VARIANTS: dict[str, tuple[str, dict[str, Any], str]] = {
    **{family: (family, {}, "float32") for family in FAMILIES},
    "tied": ("llama", {"tie_word_embeddings": True, "mlp_bias": True}, "float32"),
    "bfloat16 read as float32": ("llama", {"dtype": torch.bfloat16}, "float32"),
    "bfloat16 as it is": ("phi3", {"dtype": torch.bfloat16}, "bfloat16"),
    "float32 rounded": ("gpt2", {}, "bfloat16"),
    "narrow": ("gpt2", {"n_inner": 24}, "float32"),
}


def made_of_weights(live: LiveModel, mode: str) -> dict[str, Any]:
    """The rows of every unit that decodes, and those of the facts of the weights, as Arrow tables by unit and table."""
    config = BuildConfig("model", Path("none.duckdb"), top=6, mode=mode, keep_vectors=True, neighbours=3)
    plan = Plan(config, live, vocabulary(live.tokenizer, live.d_vocab), list(range(live.n_layers)))
    made = {}
    for product, work in ((DECODE, Decoder(plan)), (WEIGHTS, Weigher(plan, 1, 3))):
        for unit in product.units(plan, product.parts(plan)[0]):
            made |= {(product.name, unit, table): rows for table, rows in work.run(unit).items()}
    return made


# Other families keep their weights as the first ones do.
ALIKE = ("llama", "mistral", "qwen2", "qwen3", "gemma3", "float32 rounded")


@pytest.mark.parametrize("variant", some(VARIANTS, [variant for variant in VARIANTS if variant not in ALIKE]))
def test_rows_are_those_of_the_loaded_model_bit_for_bit(variant, tmp_path):
    family, fields, dtype = VARIANTS[variant]
    folder = str(make_model(family, tmp_path / "model", **fields))
    loaded, streamed = (load(folder, device="cpu", dtype=dtype, weights_only=only) for only in (False, True))
    assert (loaded.validated, streamed.validated) == ("model", "instance")
    assert streamed.fingerprint == loaded.fingerprint and streamed.weights_fingerprint == loaded.weights_fingerprint
    mode = "folded" if variant in ("gemma2", "bfloat16 as it is") else "raw"
    wanted, found = made_of_weights(loaded, mode), made_of_weights(streamed, mode)
    assert {table for _, _, table in wanted} > {"_decoding", "_weight_fact", "neuron_vector", "_nearest"}
    assert found.keys() == wanted.keys()
    assert all(found[key].equals(wanted[key]) for key in wanted)


def test_a_whole_build_makes_the_same_atlas(tmp_path, monkeypatch):
    model = make_model("phi3", tmp_path / "model", dtype=torch.bfloat16)
    with monkeypatch.context() as patch:
        patch.setattr(loading, "stored_in", lambda *_: None)  # then all weights are loaded
        loaded = all_rows(built(model, tmp_path / "loaded.duckdb", None, neighbours=3))
    streamed = all_rows(built(model, tmp_path / "streamed.duckdb", None, neighbours=3))
    shown = [name for name in Manifest.columns() if name not in ("atlas_id", "created_at")]  # as all_rows
    place = shown.index("validated")
    one, other = (list(rows["atlas"][0]) for rows in (loaded, streamed))
    assert (one.pop(place), other.pop(place)) == ("model", "instance") and one == other
    differing = {table for table in loaded if loaded[table] != streamed[table]}
    assert differing == {"atlas"} and len(streamed["_decoding"]) == 3 * 3 * 32


def test_the_streamed_model_is_the_loaded_one_under_every_name(tmp_path):
    folder = str(make_model("qwen3", tmp_path / "model", tie_word_embeddings=True, dtype=torch.bfloat16))
    live, streamed = load(folder, device="cpu"), load(folder, device="cpu", weights_only=True)
    assert all(parameter.is_meta for parameter in streamed.model.parameters())
    assert not any(parameter.is_meta for parameter in live.model.parameters())
    for name in ("fingerprint", "weights_fingerprint", "d_vocab", "d_model", "d_mlp", "n_layers", "dtype", "device"):
        assert getattr(streamed, name) == getattr(live, name), name
    assert torch.equal(streamed.embedding(), live.embedding()) and torch.equal(streamed.unembedding(), live.embedding())
    assert torch.equal(streamed.final_norm_gain(), live.final_norm_gain())


def sharded(folder: Path, n: int) -> None:
    """The tensors dealt out to n files with an index, as large checkpoints come."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"model-{i % n + 1:05}-of-{n:05}.safetensors" for i, name in enumerate(sorted(tensors))}
    for file in set(places.values()):
        save_file({name: tensors[name] for name in tensors if places[name] == file}, folder / file, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def test_shards_are_read_where_the_index_places_them(tmp_path):
    whole = make_model("llama", tmp_path / "whole")
    shutil.copytree(whole, tmp_path / "sharded")
    sharded(tmp_path / "sharded", 5)
    one, many = (load(str(tmp_path / name), device="cpu", weights_only=True) for name in ("whole", "sharded"))
    assert one.stored is not None and many.stored is not None and one.fingerprint == many.fingerprint
    assert torch.equal(one.weight("up_proj", 2), many.weight("up_proj", 2))


def test_biases_are_read_too(tmp_path):
    folder = str(make_model("gpt2", tmp_path / "model"))
    live, streamed = load(folder, device="cpu"), load(folder, device="cpu", weights_only=True)
    for name in live.weights():
        assert torch.equal(streamed.bias(name, 1), live.bias(name, 1))


def test_a_model_that_must_run_is_loaded(tmp_path, monkeypatch):
    model = make_model("llama", tmp_path / "model")
    corpus = tmp_path / "texts.txt"
    corpus.write_text("the dog is good\nmy cat is sad\n" * 8)
    asked = []
    monkeypatch.setattr(loading, "load", lambda *_, **options: asked.append(options["weights_only"]) or fail())
    for needs in ({}, {"texts": (str(corpus),)}, {"corpus": write_corpus(tmp_path / "corpus.jsonl")}):
        with pytest.raises(ModelError, match="enough seen"):
            built(model, tmp_path / "a.duckdb", needs.pop("corpus", None), **needs)
    assert asked == [True, False, False]


def fail() -> None:
    raise ModelError("enough seen")


def spoiled(folder: Path, name: str, change: Any) -> Path:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors[name] = change(tensors[name])
    save_file(tensors, file, {"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("name", "value"), [("lm_head.weight", float("nan")), ("model.layers.1.mlp.up_proj.weight", float("inf"))]
)
def test_values_that_are_not_finite_are_refused(name, value, tmp_path):
    def put(tensor: torch.Tensor) -> torch.Tensor:
        tensor[3, 2] = value
        return tensor

    folder = spoiled(make_model("llama", tmp_path / "model"), name, put)
    with pytest.raises(ModelError, match="non-finite values in " + name.replace(".", r"\.")):
        load(str(folder), device="cpu", weights_only=True)


def test_values_that_the_dtype_cannot_hold_are_refused(tmp_path):
    folder = spoiled(make_model("llama", tmp_path / "model"), "lm_head.weight", lambda tensor: tensor * 1e6)
    assert load(str(folder), device="cpu", weights_only=True).stored is not None
    with pytest.raises(ModelError, match="non-finite values in lm_head"):
        load(str(folder), device="cpu", dtype="float16", weights_only=True)


def test_an_embedding_that_is_tied_and_stored_twice_differently_is_loaded(tmp_path):
    model = make_model("llama", tmp_path / "model", tie_word_embeddings=True)
    tensors = load_file(model / "model.safetensors")
    for factor, streams in ((1, True), (2, False)):
        again = {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"] * factor}
        save_file(again, model / "model.safetensors", {"format": "pt"})
        assert (load(str(model), device="cpu", weights_only=True).stored is not None) == streams


def test_shapes_are_checked_before_anything_is_read(tmp_path):
    folder = spoiled(make_model("llama", tmp_path / "model"), "model.layers.2.mlp.up_proj.weight", lambda t: t[:-1])
    with pytest.raises(ModelError, match="has shape"):
        load(str(folder), device="cpu", weights_only=True)


def test_an_adapter_that_does_not_fit_is_refused_by_the_small_instance(tmp_path, monkeypatch):
    from dataclasses import replace

    from atlas.live.adapters.llama import ADAPTER

    weights = {**ADAPTER.weights, "up_proj": ADAPTER.weights["gate_proj"], "gate_proj": ADAPTER.weights["up_proj"]}
    monkeypatch.setattr(loading, "find_adapter", lambda raw: replace(ADAPTER, weights=weights))
    with pytest.raises(ModelError, match="adapter does not fit"):
        load(str(make_model("llama", tmp_path / "model")), device="cpu", weights_only=True)
