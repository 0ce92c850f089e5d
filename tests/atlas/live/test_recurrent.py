"""Models of which some layers keep a state of the tokens before: what may not begin at it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from atlas.errors import ModelError
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel
from atlas.live.passes import run_pass
from atlas.live.validation import validate
from atlas.spec.document import Edit
from builders.attribution.effects import Effects
from builders.evaluation.edited import Budget
from builders.evaluation.prefix import SharedPrefix
from tests.atlas.live.plain_edits import a_spec
from tests.synthetic import make_model

TEXT = [14, 21, 49, 4, 26, 30, 22]


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LiveModel]:
    made: dict[str, LiveModel] = {}

    def get(name: str) -> LiveModel:
        if name not in made:
            made[name] = load(str(make_model(name, tmp_path_factory.mktemp(name) / "m")), device="cpu")
        return made[name]

    return get


@pytest.fixture(params=["lfm2", "jamba", "falcon_h1", "qwen3_next"])
def live(request: pytest.FixtureRequest, recurrent: Callable[[str], LiveModel]) -> LiveModel:
    return recurrent(request.param)


def test_no_pass_begins_at_a_state(live):
    ids = torch.tensor([TEXT])
    left = run_pass(live, ids[:, :3], torch.ones(1, 3, dtype=torch.long), keep_cache=True).cache
    with pytest.raises(ModelError, match="a recurrent layer was left in"):
        run_pass(live, ids[:, 3:], torch.ones(1, len(TEXT), dtype=torch.long), cache=left)


def test_prompts_share_no_prefix(live):
    prompts = [[*TEXT, 9], [*TEXT, 17, 23]]
    assert SharedPrefix(live, prompts, [None], Budget(), False).length == 0


def test_what_an_edit_of_the_last_token_does(live):
    """The difference of two plain passes over the whole text."""
    spec = replace(a_spec(live, Edit("mlp_post", 1, 5, "set", 3.0)), positions="last")
    found = Effects(live, TEXT, only_last=True).change(spec, LogitTarget(17))
    ids = torch.tensor([TEXT])

    def at_last(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        changed = args[0].clone()
        changed[:, -1, 5] = 3.0
        return (changed,)

    logits = []
    down = live.model.get_submodule(live.adapter.sites["mlp_post"].module.format(layer=1))
    with torch.no_grad():
        logits.append(live.model(input_ids=ids, use_cache=False).logits[0, -1, 17])
        handle = down.register_forward_pre_hook(at_last)
        logits.append(live.model(input_ids=ids, use_cache=False).logits[0, -1, 17])
        handle.remove()
    assert found == pytest.approx(float(logits[1] - logits[0]), rel=1e-4, abs=1e-5)
    with intervene(live, spec, prompt_lengths=len(TEXT)), torch.no_grad():
        assert not torch.equal(live.model(input_ids=ids, use_cache=False).logits[0, -1, 17], logits[0])


@pytest.mark.parametrize(("name", "said"), [("lfm2", False), ("llama", True)])
def test_an_adapter_that_says_otherwise_is_refused(name, said, recurrent):
    live = recurrent(name)
    wrong = LiveModel(live.model, live.tokenizer, replace(live.adapter, recurrent=said), "wrong", add_bos=False)
    with pytest.raises(ModelError, match=f"the {live.adapter.family} adapter says otherwise"):
        validate(wrong)


def changed(folder: Path, **fields: Any) -> str:
    config = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.parametrize("bounds", [[0.0, -1.0], [{"__float__": "Infinity"}, 1.0], [0.0, {"__float__": "NaN"}], "all"])
def test_bounds_that_are_none_are_refused(bounds, tmp_path):
    folder = make_model("bamba", tmp_path / "m")
    with pytest.raises(ModelError) as error:
        load(changed(folder, time_step_limit=bounds), device="cpu")
    assert "\n" not in error.value.message


def test_multipliers_of_the_mlp_are_refused_by_name(tmp_path):
    folder = make_model("falcon_h1", tmp_path / "m")
    with pytest.raises(ModelError, match=r"has mlp_multipliers \[1.0, 0.5\], and then what the gate reads"):
        load(changed(folder, mlp_multipliers=[1.0, 0.5]), device="cpu")


def test_a_build_of_weights_alone_loads_them(tmp_path):
    live = load(str(make_model("lfm2", tmp_path / "m")), device="cpu", weights_only=True)
    assert live.stored is None and live.validated == "model"


def test_over_devices_and_files_it_is_the_same(recurrent):
    live = recurrent("lfm2")
    size = sum(parameter.nbytes for parameter in live.model.parameters())
    spread = load(live.source.location, device=f"map:cpu={size / 2e6:.6f}MB")
    assert spread.fingerprint == live.fingerprint and set(spread.model.hf_device_map.values()) == {"cpu", "disk"}
    with torch.no_grad():
        logits = [each.model(input_ids=torch.tensor([TEXT])).logits for each in (live, spread)]
    torch.testing.assert_close(*logits, rtol=1e-5, atol=1e-6)


def test_what_arrives_in_the_stream_is_looked_at_in_every_layer(tmp_path):
    """A scale that the adapter does not name, in the last block alone."""
    live = load(str(make_model("granite", tmp_path / "m", residual_multiplier=1.0)), device="cpu")
    validate(replace_adapter(live, write_scale=None))
    live.model.model.layers[2].residual_multiplier = 0.5
    validate(live)
    with pytest.raises(ModelError, match="resid_post of layer 2 = what else is there"):
        validate(replace_adapter(live, write_scale=None))


def replace_adapter(live: LiveModel, **said: Any) -> LiveModel:
    return LiveModel(live.model, live.tokenizer, replace(live.adapter, **said), "changed", add_bos=False)
