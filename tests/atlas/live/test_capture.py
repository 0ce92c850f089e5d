"""Padding, early stop, hooks that go away, and sites that are not computed exactly once."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from atlas.errors import ModelError
from atlas.live.adapters.base import Part, Tap
from atlas.live.capture import capture
from atlas.live.loading import load
from atlas.live.taps import ResolvedTap, part_of_axis
from tests.atlas.live import plain
from tests.atlas.live.test_sites_and_weights import captured
from tests.synthetic import make_model

TEXT = torch.tensor([14, 21, 49, 4, 26])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_real_token(live, side):
    alone = captured(live, TEXT[None])
    padding = torch.full((4,), 1)
    row = torch.cat([padding, TEXT] if side == "left" else [TEXT, padding])
    other = torch.arange(30, 39)  # a full row, so that the batch is as long
    mask = (row != 1).long()
    found = captured(live, torch.stack([row, other]), torch.stack([mask, torch.ones_like(mask)]))
    for key, acts in alone.items():
        torch.testing.assert_close(found[key][0][mask.bool()], acts[0], rtol=1e-4, atol=1e-5, msg=str(key))
        assert torch.isfinite(found[key]).all()


def test_nothing_after_the_last_wanted_tap_runs(live):
    ran = []
    handles = [
        block.register_forward_pre_hook(lambda m, a, layer=layer: ran.append(layer))
        for layer, block in enumerate(plain.blocks(live))
    ]
    handles.append(live.model.get_output_embeddings().register_forward_pre_hook(lambda m, a: ran.append("head")))
    assert set(captured(live, TEXT[None], layers=[1, 0], names=["mlp_post"])) == {
        ("mlp_post", 0),
        ("mlp_post", 1),
    }
    assert ran == [0, 1]
    ran.clear()
    captured(live, TEXT[None], names=["resid_post"])
    assert ran == [0, 1, 2]  # the head never
    for handle in handles:
        handle.remove()


def test_the_model_is_as_before_after_an_early_stop(live):
    before = live.model(input_ids=TEXT[None]).logits
    captured(live, TEXT[None], layers=[0], names=["mlp_pre"])
    assert torch.equal(live.model(input_ids=TEXT[None]).logits, before)
    assert plain.hooks_of(live) == 0


def test_sinks_are_called_in_forward_order_and_their_errors_leave_no_hook(live_of):
    live = live_of("phi3")
    order = []
    ones = torch.ones_like(TEXT[None])
    capture(live, TEXT[None], ones, live.sites(), [2, 0], lambda site, layer, acts: order.append((layer, site)))
    assert order == [(layer, site) for layer in (0, 2) for site in live.sites()]

    def failing(site, layer, acts):
        raise ValueError("from the sink")

    with pytest.raises(ValueError, match="from the sink"):
        capture(live, TEXT[None], ones, ["mlp_post"], [0], failing)
    assert plain.hooks_of(live) == 0


def with_site(live, site: str, tap: Tap):
    adapter = dataclasses.replace(live.adapter, sites={**live.adapter.sites, site: tap})
    return dataclasses.replace(live, adapter=adapter)


def test_a_site_that_is_never_computed_is_an_error(live_of):
    live = with_site(live_of("llama"), "mlp_post", Tap("lm_head", "input"))
    with pytest.raises(ModelError, match="never computed mlp_post of layer 1"):
        captured(live, TEXT[None], names=["mlp_post", "resid_post"], layers=[1])
    assert plain.hooks_of(live) == 0


def test_a_site_that_is_computed_twice_is_an_error(tmp_path):
    live = load(str(make_model("llama", tmp_path)), device="cpu")
    live.model.model.layers[1] = live.model.model.layers[0]
    with pytest.raises(ModelError, match=r"model\.layers\.0 ran twice"):
        captured(live, TEXT[None], names=["resid_post"], layers=[0, 2])
    assert plain.hooks_of(live) == 0


class Doubling(nn.Module):
    """A block as in transformers 4: it returns a tuple."""

    def forward(self, x):
        return 2 * x, "cache"


def test_taps_read_and_edit_tuple_outputs():
    module, x = Doubling(), torch.arange(8.0).reshape(1, 2, 4)
    seen = []
    reading = ResolvedTap("resid_post", 0, "block", module, "output", None).register(seen.append)
    assert torch.equal(module(x)[0], 2 * x)
    assert torch.equal(seen[0], 2 * x)
    reading.remove()
    ResolvedTap("resid_post", 0, "block", module, "output", Part(1, 2)).register(torch.zeros_like)
    edited, cache = module(x)
    assert cache == "cache"
    assert torch.equal(edited[..., :2], 2 * x[..., :2])
    assert (edited[..., 2:] == 0).all()


def test_taps_edit_inputs_and_parts():
    module, x = nn.Linear(4, 4), torch.ones(1, 1, 4)
    ResolvedTap("mlp_post", 0, "down", module, "input", Part(0, 2)).register(torch.zeros_like)
    assert torch.equal(module(x), module.weight[:, 2:].sum(1).add(module.bias)[None, None])
    assert torch.equal(x, torch.ones(1, 1, 4))
    with pytest.raises(ModelError, match="does not divide"):
        part_of_axis(Part(0, 2), 5)
