"""A model of which a part is in its files, and moved about by accelerate, is the plain model in all that we do."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from atlas.errors import MissingExtraError, ModelError, UsageError
from atlas.live.capture import capture
from atlas.live.generation import Decoding, continuation
from atlas.live.gradients import differentiate
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel
from atlas.live.passes import run_pass
from atlas.live.spread import parse_device_map
from tests.atlas.live.plain_edits import a_spec, mixed_edits
from tests.commands import invoke
from tests.end_to_end.workbench import all_rows, built, write_corpus
from tests.gguf_model import write_gguf
from tests.synthetic import make_model

IDS = torch.tensor([[14, 21, 49, 4, 26], [30, 31, 32, 33, 34]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
VARIANTS = {
    "llama": {"mlp_bias": True, "attention_bias": True},
    "gpt2": {},
    "gemma2": {},
    "phi3": {"dtype": torch.bfloat16},
}
Both = tuple[LiveModel, LiveModel]


@pytest.fixture(scope="module")
def both_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Both]:
    """The plain model of a variant, and the one of which about half of the weights are in memory."""
    made: dict[str, Both] = {}

    def get(variant: str) -> Both:
        if variant not in made:
            folder = str(make_model(variant, tmp_path_factory.mktemp(variant) / variant, **VARIANTS[variant]))
            plain = load(folder, device="cpu")
            size = sum(parameter.nbytes for parameter in plain.model.parameters())
            made[variant] = plain, load(folder, device=f"map:cpu={size / 2e6:.6f}MB")
        return made[variant]

    return get


@pytest.fixture(params=VARIANTS)
def both(request: pytest.FixtureRequest, both_of: Callable[[str], Both]) -> Both:
    return both_of(request.param)


def test_a_part_is_in_memory_and_a_part_in_files(both):
    plain, spread = both
    assert set(spread.model.hf_device_map.values()) == {"cpu", "disk"}
    assert {parameter.is_meta for parameter in spread.model.parameters()} == {True, False}
    assert spread.validated == plain.validated == "model"  # the whole was run
    for name in ("fingerprint", "weights_fingerprint", "device", "dtype", "d_vocab", "d_model", "d_mlp"):
        assert getattr(spread, name) == getattr(plain, name), name


def test_weights_are_the_plain_models(both):
    plain, spread = both
    for name in plain.weights():
        for layer in range(plain.n_layers):
            assert torch.equal(spread.weight(name, layer), plain.weight(name, layer))
            assert (spread.bias(name, layer) is None) == (plain.bias(name, layer) is None)
            if plain.bias(name, layer) is not None:
                assert torch.equal(spread.bias(name, layer), plain.bias(name, layer))
    assert torch.equal(spread.unembedding(), plain.unembedding())
    assert torch.equal(spread.embedding(), plain.embedding())
    assert torch.equal(spread.final_norm_gain(), plain.final_norm_gain())


def captured(live: LiveModel) -> dict[tuple[str, int], torch.Tensor]:
    found = {}
    layers = range(live.n_layers)
    capture(
        live, IDS, MASK, live.sites(), layers, lambda site, layer, acts: found.update({(site, layer): acts.clone()})
    )
    return found


def test_every_site_is_captured_alike_again_and_again(both):
    plain, spread = both
    wanted = captured(plain)
    for _ in range(2):
        found = captured(spread)
        assert found.keys() == wanted.keys()
        for key, acts in wanted.items():
            torch.testing.assert_close(found[key], acts, rtol=1e-5, atol=1e-6, msg=str(key))


def test_edits_do_the_same(both):
    spread = both[1]
    logits = []
    for live in both:
        with intervene(live, a_spec(live, *mixed_edits(live))), torch.inference_mode():
            logits.append(live.model(input_ids=IDS, attention_mask=MASK).logits[0])
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-4, atol=1e-5)
    with torch.inference_mode():
        without = spread.model(input_ids=IDS, attention_mask=MASK).logits[0]
    assert (without - logits[1]).abs().max() > 0.1


def test_texts_are_continued_alike(both):
    said = [continuation(live, IDS[0].tolist(), Decoding(max_new_tokens=4)) for live in both]
    assert said[0] == said[1] != ""


def test_a_pass_that_begins_at_a_block_leaves_the_model_as_it_was(both):
    plain, spread = both
    first = run_pass(spread, IDS, MASK, stops=[2])
    again = run_pass(spread, IDS, MASK, start=first.starts[2])
    wanted = run_pass(plain, IDS, MASK)
    for found in (first, again, run_pass(spread, IDS, MASK)):
        torch.testing.assert_close(found.final_BTD, wanted.final_BTD, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("relp", [False, True])
def test_gradients_are_the_same(both, relp):
    found = []
    for live in both:
        grads = {}
        sites, layers = ["mlp_post"], range(live.n_layers)
        keep = lambda site, layer, acts, grad, grads=grads: grads.update({layer: grad.clone()})  # noqa: E731
        differentiate(live, IDS, MASK, sites, layers, LogitTarget(17), keep, relp=relp)
        found.append(torch.stack([grads[layer] for layer in layers]))
    assert found[0].abs().max() > 0
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-6)


def test_a_build_makes_the_rows_of_the_plain_one(tmp_path):
    model, corpus = make_model("llama", tmp_path / "model"), write_corpus(tmp_path / "texts.jsonl")
    options = {"permutations": 20, "folds": 2, "neighbours": 0, "decode": False, "layers": (1,)}
    plain = all_rows(built(model, tmp_path / "plain.duckdb", corpus, device="cpu", **options))
    spread = all_rows(built(model, tmp_path / "spread.duckdb", corpus, device="map:cpu=0.02MB", **options))
    assert spread == plain and len(spread["_gaussian"]) == 3 * 32


def test_a_tensor_is_shown_on_the_models_device_wherever_it_was_computed(both_of):
    plain, _ = both_of("llama")
    tap = dataclasses.replace(plain.tap("mlp_post", 1), device=torch.device("meta"))
    seen = []
    handle = tap.register(lambda acts: seen.append(acts.device.type))
    with torch.inference_mode():
        plain.model(input_ids=IDS)
    handle.remove()
    assert seen == ["meta"]


def test_device_maps_that_can_be_read():
    assert parse_device_map("auto") is None
    assert parse_device_map("cpu=1.5GB") == {"cpu": 1_500_000_000}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no device map"),
        ("balanced", "is no device map"),
        ("cpu=", "is no device map"),
        ("cpu=-1GB", "is no device map"),
        ("cpu=1TB", "is no device map"),
        ("disk=1GB", "is no device map"),
        ("cpu=1GB,cpu=2GB", "has cpu twice"),
        ("cuda:99=1GB,cpu=1GB", "there is no device cuda:99"),
    ],
)
def test_device_maps_that_are_refused(text, said):
    with pytest.raises(UsageError, match=said):
        parse_device_map(text)


def test_what_cannot_be_spread_is_refused(tmp_path, monkeypatch):
    model = str(make_model("llama", tmp_path / "model"))
    with pytest.raises(ModelError, match="is a GGUF file"):
        load(str(write_gguf(tmp_path / "tiny.gguf")), device="map:auto")
    monkeypatch.setattr("atlas.live.loading.stored_in", lambda *_: None)
    with pytest.raises(ModelError, match="cannot be spread"):
        load(model, device="map:auto")


def test_without_accelerate_the_extra_is_named(tmp_path, monkeypatch):
    find = importlib.import_module

    def absent(name: str, *rest: object) -> object:
        if name == "accelerate":
            raise ImportError(name)
        return find(name, *rest)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match="accelerate") as error:
        load(str(make_model("llama", tmp_path / "model")), device="map:auto")
    assert "neuron-atlas[device-map]" in error.value.hint


def test_the_option_is_a_device_of_its_own(tmp_path, monkeypatch):
    from builders.cli import build as command

    seen = []
    monkeypatch.setattr(command, "config_from", lambda options: seen.append(options["device"]) or _stop())
    arguments = ["model", "-o", str(Path(tmp_path / "a.duckdb")), "--no-concepts"]
    for given in (["--device-map", "auto"], ["--device", "cpu"], ["--device-map", "auto", "--device", "cpu"]):
        result = invoke(command.build, [*arguments, *given])
        assert isinstance(result.exception, UsageError)
    assert seen == ["map:auto", "cpu"]


def _stop() -> None:
    raise UsageError("enough seen")
