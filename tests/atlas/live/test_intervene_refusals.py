"""What intervene refuses, notices at the end, and leaves behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from atlas.errors import ModelError, SpecError
from atlas.live.intervene import intervene
from atlas.spec.document import Edit
from tests.atlas.live.plain import hooks_of
from tests.atlas.live.plain_edits import a_spec

IDS = torch.tensor([[14, 21, 49]])


@pytest.fixture
def llama(live_of):
    return live_of("llama")


def spec_of(live, **fields):
    return a_spec(live, Edit("mlp_post", 1, 3, "set", 2.0), Edit("resid_post", 2, 0, "add", 1.0), **fields)


def untouched(live):
    return hooks_of(live) == 0 and "generate" not in vars(live.model)


def test_another_checkpoint_is_refused_unless_overridden(llama):
    spec = spec_of(llama)
    other = replace(spec, model=replace(spec.model, fingerprint="sha256:" + 64 * "0", id="other"))
    with pytest.raises(SpecError, match=r"model.fingerprint: the spec is for other with weights 000000000000"):
        with intervene(llama, other):
            pass
    with torch.no_grad():
        with intervene(llama, spec):
            expected = llama.model(input_ids=IDS).logits
        with intervene(llama, other, override_model=True):
            assert torch.equal(llama.model(input_ids=IDS).logits, expected)
    assert untouched(llama)


@pytest.mark.parametrize(("name", "value"), [("n_layers", 4), ("d_model", 32), ("d_mlp", 64), ("gated", False)])
def test_other_dims_are_refused_always(llama, name, value):
    spec = spec_of(llama)
    other = replace(spec, model=replace(spec.model, **{name: value}))
    with pytest.raises(SpecError, match=rf"model\.{name}: .* {value}, and .* has "):
        with intervene(llama, other, override_model=True):
            pass
    assert untouched(llama)


def test_one_block_at_a_time(llama):
    with pytest.raises(ModelError, match="being edited already"), intervene(llama, spec_of(llama)):
        with intervene(llama, spec_of(llama)):
            pass
    with torch.no_grad(), intervene(llama, spec_of(llama)):
        llama.model(input_ids=IDS)


def test_a_block_in_which_nothing_ran_is_an_error(llama):
    with pytest.raises(ModelError, match="no forward pass"), intervene(llama, spec_of(llama)):
        pass
    assert untouched(llama)


def test_a_tap_that_no_pass_reached_is_an_error(llama):
    class Enough(Exception):
        pass

    def stop(module, args):
        raise Enough

    handle = llama.model.model.layers[2].register_forward_pre_hook(stop)
    with (
        pytest.raises(ModelError, match="never reached resid_post of layer 2, where"),
        intervene(llama, spec_of(llama)),
    ):
        with pytest.raises(Enough):
            llama.model(input_ids=IDS)
    handle.remove()
    assert untouched(llama)


def test_part_of_the_model_has_no_positions(llama):
    hidden = torch.randn(1, 3, 16)
    with pytest.raises(ModelError, match="mlp_post of layer 1 ran outside a pass"), intervene(llama, spec_of(llama)):
        llama.model(input_ids=IDS)
        llama.model.model.layers[1].mlp(hidden)


def test_an_exception_of_the_block_passes_and_nothing_stays(llama):
    with torch.no_grad():
        before = llama.model(input_ids=IDS).logits
        with pytest.raises(KeyError, match="mine"), intervene(llama, spec_of(llama)):
            raise KeyError("mine")
        with pytest.raises(KeyboardInterrupt), intervene(llama, spec_of(llama)):
            llama.model(input_ids=IDS)
            raise KeyboardInterrupt
        assert untouched(llama)
        assert torch.equal(llama.model(input_ids=IDS).logits, before)


def test_a_pass_that_breaks_off_leaves_no_positions_behind(llama):
    def stop(module, args):
        raise RuntimeError("stop")

    handle = llama.model.model.layers[2].register_forward_pre_hook(stop)
    with pytest.raises(ModelError, match="outside a pass"), intervene(llama, spec_of(llama)):
        with pytest.raises(RuntimeError, match="stop"):
            llama.model(input_ids=IDS)
        llama.model.model.layers[1].mlp(torch.randn(1, 3, 16))
    handle.remove()


def test_a_generate_that_someone_put_on_the_model_is_kept(llama):
    calls = []

    def mine(*args, **kwargs):
        calls.append(kwargs)
        return type(llama.model).generate(llama.model, *args, **kwargs)

    llama.model.generate = mine
    try:
        with intervene(llama, spec_of(llama)):
            llama.model.generate(IDS, max_new_tokens=2, pad_token_id=1)
        assert calls and llama.model.generate is mine
    finally:
        del llama.model.generate


def test_a_site_that_the_family_lacks_is_refused(live_of):
    gpt2 = live_of("gpt2")
    spec = a_spec(gpt2, Edit("mlp_post", 1, 3, "set", 2.0))
    with pytest.raises(SpecError, match="gated models only"):
        replace(spec, edits=(Edit("mlp_pre_linear", 1, 3, "set", 2.0),))
