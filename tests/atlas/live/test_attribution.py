"""Direct effects, gradients and RelP of every family against float64 runs that know each architecture."""

from __future__ import annotations

import pytest
import torch

from atlas.errors import ModelError
from atlas.live.direct import direct_effects, read_last_token
from atlas.live.gradients import differentiate
from atlas.live.logits import LogitTarget, top_tokens
from atlas.live.relevance import relevance
from tests.atlas.live import plain
from tests.atlas.live.plain_attribution import (
    blocks,
    doubled,
    down_projection,
    frozen_gpt2,
    frozen_llama,
    gradient_attributions,
    run_with,
)

IDS = [14, 21, 62, 55, 30]
TARGET = LogitTarget(41, 52)


def direction(model):
    """As a row over the vocabulary: the target is its product with the logits."""
    row_V = torch.zeros(model.get_output_embeddings().weight.shape[0], dtype=torch.float64)
    row_V[TARGET.token], row_V[TARGET.against] = 1.0, -1.0
    return row_V


@pytest.fixture
def uncapped(live):
    """(live, its model in float64) without a cap of the logits, which our target is before."""
    model = doubled(live)
    if live.logit_softcap:
        model.config.final_logit_softcapping = None
    return live, model


def found_by(live, sites=("mlp_post",), ids=IDS, relp=False):
    """(values of the target, {(site, layer): (activations, gradients)} of the first text)."""
    found = {}
    rows = torch.tensor([ids])

    def keep(site, layer, acts, grads):
        found[site, layer] = acts[0].clone(), grads[0].clone()

    values = differentiate(live, rows, torch.ones_like(rows), sites, range(live.n_layers), TARGET, keep, relp=relp)
    return values, found


def test_gradients_are_those_of_plain_autograd_in_float64(uncapped):
    live, model = uncapped
    before = plain.hooks_of(live)
    values, found = found_by(live)
    acts, grads = gradient_attributions(model, IDS, direction(model))
    logits = run_with(model, IDS, lambda layer, acts_1TN: acts_1TN)[-1]
    assert float(values[0]) == pytest.approx(float(logits[TARGET.token] - logits[TARGET.against]), abs=1e-4)
    for layer in range(live.n_layers):
        size = grads[layer].abs().max()
        torch.testing.assert_close(found["mlp_post", layer][0].double(), acts[layer], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found["mlp_post", layer][1].double(), grads[layer], rtol=1e-3, atol=1e-4 * size)
    assert plain.hooks_of(live) == before and all(p.grad is None for p in live.model.parameters())


@pytest.mark.parametrize("variant", ["llama", "gpt2", "phi3", "gemma2"])
def test_gradients_are_small_differences(live_of, variant):
    live, step = live_of(variant), 3e-3  # norms of transformers round to float32 whatever the model is in
    model = doubled(live)
    if live.logit_softcap:
        model.config.final_logit_softcapping = None
    _, found = found_by(live)
    for layer, neuron, token in ((0, 3, 1), (1, 7, -1), (2, 11, -1)):
        ends = []
        for side in (-step, step):

            def shift(at, acts_1TN, side=side, layer=layer, neuron=neuron, token=token):
                if at == layer:
                    acts_1TN = acts_1TN.clone()
                    acts_1TN[0, token, neuron] += side
                return acts_1TN

            ends.append(float(run_with(model, IDS, shift)[-1] @ direction(model)))
        slope = (ends[1] - ends[0]) / (2 * step)
        assert float(found["mlp_post", layer][1][token, neuron]) == pytest.approx(slope, rel=5e-3, abs=5e-4)


def test_every_site_has_gradients_and_they_agree_with_one_another(live):
    """What moves mlp_pre moves mlp_post by the slope of the activation function, times the other branch."""
    _, found = found_by(live, sites=live.sites())
    assert {site for site, _ in found} == set(live.sites())
    for layer in range(live.n_layers):
        acts, grads = (
            dict(zip(live.sites(), each, strict=True))
            for each in zip(*(found[s, layer] for s in live.sites()), strict=True)
        )
        pre = acts["mlp_pre"].double().requires_grad_(True)
        opened = blocks(live.model)[layer].mlp
        act = next(getattr(opened, name) for name in ("act_fn", "activation_fn", "act") if hasattr(opened, name))
        post = act(pre) * (acts["mlp_pre_linear"].double() if live.gated else 1.0)
        (slope,) = torch.autograd.grad(post, pre, grads["mlp_post"].double())
        torch.testing.assert_close(grads["mlp_pre"].double(), slope, rtol=1e-3, atol=1e-5)


def test_padding_and_neighbours_change_nothing(live):
    """A text in a padded batch has the gradients that it has alone."""
    _, alone = found_by(live, ids=IDS[:3])
    rows = torch.tensor([IDS, [*IDS[:3], 0, 0]])
    mask = torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])
    found = {}

    def keep(site, layer, acts, grads):
        found[site, layer] = grads[1].clone()

    differentiate(live, rows, mask, ["mlp_post"], range(live.n_layers), TARGET, keep)
    for place, (_, grads) in alone.items():
        torch.testing.assert_close(found[place][:3], grads, rtol=1e-3, atol=1e-5)
        assert not found[place][3:].any()


def test_direct_effects_are_what_neurons_add_behind_the_last_norm(uncapped):
    """The scale of the norm by its own formula; and all shares of all writers add up to the target."""
    live, model = uncapped
    last = read_last_token(live, IDS)
    found = direct_effects(live, last, TARGET).double()
    seen = {}

    def look(key):
        return lambda module, args, output: seen.update({key: (args[0][0, -1], output[0, -1])})

    kind = type(live.model).__name__
    final = (
        model.transformer.ln_f
        if kind.startswith("GPT2")
        else (model.gpt_neox.final_layer_norm if kind.startswith("GPTNeoX") else model.model.norm)
    )
    final.register_forward_hook(look("final"))
    after = [getattr(block, "post_feedforward_layernorm", None) for block in blocks(model)]
    for layer, block in enumerate(blocks(model)):
        (after[layer] or block.mlp).register_forward_hook(look(("mlp", layer)))
        down_projection(block).register_forward_hook(look(("down", layer)))
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([IDS]), use_cache=False).logits[0, -1]
    target = float(logits @ direction(model))
    stream = seen["final"][0]
    layer_norm = isinstance(final, torch.nn.LayerNorm)
    eps = final.eps if hasattr(final, "eps") else final.variance_epsilon

    def through(module, x, scale_of):
        centre = layer_norm
        y = x - x.mean() if centre else x
        z = scale_of - scale_of.mean() if centre else scale_of
        gain = module.weight + (1.0 if kind.startswith("Gemma") else 0.0)
        return y * gain / (z.pow(2).mean() + eps).sqrt()

    rows = model.get_output_embeddings().weight
    aim = rows[TARGET.token] - rows[TARGET.against]
    everything, written = 0.0, torch.zeros_like(stream)
    for layer in range(live.n_layers):
        acts = seen["down", layer][0]
        vectors = {n: w.double() for n, w in plain.weights(live, layer).items()}["down_proj"]
        contributions = acts[:, None] * vectors
        if after[layer] is not None:
            arrived = seen["mlp", layer][0]
            contributions = torch.stack([through(after[layer], row, arrived) for row in contributions])
        shares = torch.stack([through(final, row, stream) @ aim for row in contributions])
        torch.testing.assert_close(found[layer], shares, rtol=1e-4, atol=1e-5)
        everything += float(shares.sum())
        written = written + contributions.sum(0)
    bias = final.bias @ aim if layer_norm else 0.0
    rest = through(final, stream - written, stream) @ aim + bias
    assert float(found.sum()) + float(rest) == pytest.approx(target, abs=1e-4)
    assert everything == pytest.approx(float(found.sum()), abs=1e-4)


@pytest.mark.parametrize(("variant", "reference"), [("llama", frozen_llama), ("gpt2", frozen_gpt2)])
def test_relp_is_the_model_written_out_with_its_constants_frozen(live_of, variant, reference):
    live = live_of(variant)
    model = doubled(live)
    expected = reference(model, IDS, direction(model))
    before = plain.hooks_of(live)
    _, found = found_by(live, relp=True)
    for layer in range(live.n_layers):
        acts, grads = (each.double() for each in found["mlp_post", layer])
        torch.testing.assert_close(acts * grads, expected[layer], rtol=1e-3, atol=1e-5)
    assert plain.hooks_of(live) == before


def test_relp_of_the_last_layer_is_the_direct_effect(live):
    """Nothing but the final norm is between them, and that is frozen in both."""
    _, found = found_by(live, relp=True)
    acts, grads = found["mlp_post", live.n_layers - 1]
    expected = direct_effects(live, read_last_token(live, IDS), TARGET)[-1]
    torch.testing.assert_close((acts * grads)[-1], expected, rtol=1e-3, atol=1e-5)


def test_relp_before_the_activation_function_is_half_of_a_gated_neuron_and_all_of_another(live):
    _, found = found_by(live, live.sites(), relp=True)
    for layer in range(live.n_layers):
        shares = {site: torch.mul(*found[site, layer]) for site in live.sites()}
        whole = shares["mlp_post"] / (2 if live.gated else 1)
        torch.testing.assert_close(shares["mlp_pre"], whole, rtol=1e-3, atol=1e-6)
        if live.gated:
            torch.testing.assert_close(shares["mlp_pre_linear"], whole, rtol=1e-3, atol=1e-6)


def test_a_forward_pass_within_relp_is_the_models_own(live):
    rows = torch.tensor([IDS])
    with torch.no_grad():
        own = live.model(input_ids=rows, use_cache=False).logits
        with relevance(live):
            found = live.model(input_ids=rows, use_cache=False).logits
    torch.testing.assert_close(found, own)


def test_attention_that_nobody_sees_is_refused(live_of):
    live = live_of("llama")
    with pytest.raises(ModelError, match="held constant"), relevance(live):
        pass


def test_the_likeliest_tokens_are_those_of_the_model(live):
    last = read_last_token(live, IDS)
    with torch.no_grad():
        logits = live.model(input_ids=torch.tensor([IDS]), use_cache=False).logits[0, -1]
    assert top_tokens(live, last.final_D, 3) == logits.topk(3).indices.tolist()
