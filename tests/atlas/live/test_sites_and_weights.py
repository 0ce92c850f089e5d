"""Sites and weights of every family against direct reads of the architecture."""

from __future__ import annotations

import pytest
import torch

from atlas import sites
from atlas.errors import ModelError, UnknownNameError, UsageError
from atlas.live.adapters.registry import FAMILIES, find_adapter
from atlas.live.capture import capture
from atlas.live.loading import load
from tests.atlas.live import plain
from tests.synthetic import make_model

IDS = torch.tensor([[14, 21, 49, 4, 26], [17, 60, 61, 49, 46]])


def captured(live, input_ids, mask=None, names=None, layers=None):
    seen = {}
    capture(
        live,
        input_ids,
        torch.ones_like(input_ids) if mask is None else mask,
        names or live.sites(),
        range(live.n_layers) if layers is None else layers,
        lambda site, layer, acts: seen.update({(site, layer): acts.clone()}),
    )
    return seen


def test_captured_sites_equal_plain_hooks(live):
    expected = plain.activations(live, IDS)
    found = captured(live, IDS)
    assert found.keys() == expected.keys()
    for (site, layer), acts in found.items():
        assert acts.shape == (*IDS.shape, live.width(site))
        torch.testing.assert_close(acts, expected[site, layer], rtol=1e-5, atol=1e-5, msg=f"{site} {layer}")


def test_weights_are_per_neuron_vectors(live):
    for layer in range(live.n_layers):
        expected = plain.weights(live, layer)
        assert list(expected) == live.weights()
        for name, rows in expected.items():
            assert live.weight(name, layer).shape == (live.d_mlp, live.d_model)
            assert torch.equal(live.weight(name, layer), rows)


def test_one_neuron_writes_its_down_proj_row(live):
    """Adding to one activation moves the MLP's output along that neuron's row, and along nothing else."""
    mlp = plain.blocks(live)[1].mlp
    outputs = []
    handle = mlp.register_forward_hook(lambda m, a, output: outputs.append(output.clone()))
    live.model(input_ids=IDS)

    def add_two(acts):
        edited = acts.clone()
        edited[..., 5] += 2.0
        return edited

    edit = live.tap("mlp_post", 1).register(add_two)
    live.model(input_ids=IDS)
    handle.remove()
    edit.remove()
    moved = (outputs[1] - outputs[0])[0, 0]
    torch.testing.assert_close(moved, 2 * live.weight("down_proj", 1)[5], rtol=1e-4, atol=1e-5)


def test_dims_and_names(live):
    config = live.model.config
    assert (live.n_layers, live.d_model) == (3, 16)
    assert live.unembedding().shape == (live.d_vocab, live.d_model) == (config.vocab_size, 16)
    assert live.gated == ("gate_proj" in live.weights()) == ("mlp_pre_linear" in live.sites())
    assert live.final_norm_gain().shape == (16,)


@pytest.mark.parametrize("variant", ["llama", "gemma2", "gemma3", "gpt2", "gpt_neox", "phi3"])
def test_final_norm_gain_is_what_the_norm_multiplies_with(live_of, variant):
    live = live_of(variant)
    norm = plain.final_norm(live)
    x = torch.randn(16, generator=torch.Generator().manual_seed(1)).double() * 100
    values = x - x.mean() if isinstance(norm, torch.nn.LayerNorm) else x
    out = norm(x.float()[None])[0].double()
    out = out - norm.bias.double() if isinstance(norm, torch.nn.LayerNorm) else out
    gain = out * values.pow(2).mean().sqrt() / values
    torch.testing.assert_close(live.final_norm_gain().double(), gain, rtol=1e-4, atol=1e-5)


def test_the_gain_keeps_all_bits_of_a_low_precision_weight(tmp_path):
    live = load(str(make_model("gemma2", tmp_path / "m", dtype=torch.bfloat16)), device="cpu", dtype="bfloat16")
    assert torch.equal(live.final_norm_gain(), 1 + live.model.model.norm.weight.float())


def test_gpt2_without_n_inner_has_four_times_the_width(live_of):
    live = live_of("gpt2")
    assert live.model.config.n_inner is None
    assert live.d_mlp == 64


def test_the_activation_functions_output_is_not_the_neuron_activation(live_of):
    live = live_of("llama")
    seen = []
    handle = plain.blocks(live)[0].mlp.act_fn.register_forward_hook(lambda m, a, o: seen.append(o))
    mlp_post = captured(live, IDS, names=["mlp_post"], layers=[0])["mlp_post", 0]
    handle.remove()
    assert not torch.allclose(seen[0], mlp_post, atol=0.1)


@pytest.mark.parametrize("variant", ["gpt2", "gpt_neox"])
def test_plain_mlps_refuse_what_only_gated_ones_have(live_of, variant):
    live = live_of(variant)
    with pytest.raises(ModelError, match="not gated") as error:
        live.tap("mlp_pre_linear", 0)
    assert "mlp_pre, mlp_post, resid_post" in error.value.hint
    with pytest.raises(ModelError, match="called up_proj here"):
        live.weight("gate_proj", 0)


def test_unknown_names_and_layers_are_refused(live_of):
    live = live_of("llama")
    with pytest.raises(UnknownNameError, match="mlp_post"):
        live.tap("mlp_pots", 0)
    with pytest.raises(UnknownNameError, match="down_proj"):
        live.weight("down", 0)
    for layer in (-1, 3):
        with pytest.raises(UsageError, match="0 to 2"):
            live.tap("mlp_post", layer)


def test_every_adapter_speaks_for_every_row_of_the_tables():
    """A site or weight added to the table must be placed or refused by each family."""
    for model_type in FAMILIES:
        adapter = find_adapter({"model_type": model_type})
        for table, places in ((sites.SITES, adapter.sites), (sites.WEIGHTS, adapter.weights)):
            assert set(places) <= set(table)
            missing = set(table) - set(places)
            assert missing <= set(adapter.refusals)
            assert missing == {name for name in table if table[name].gated_only and not adapter.gated}
