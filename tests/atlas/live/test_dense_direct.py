"""Direct effects where a family scales what is written, or its logits, or has an unusual norm: in float64, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from atlas.live.direct import direct_effects, read_last_token
from atlas.live.loading import load
from atlas.live.logits import LogitTarget
from atlas.live.passes import log_probs
from tests.atlas.live import plain_dense as plain
from tests.synthetic import make_model

IDS, TOKEN, AGAINST = [14, 21, 49, 4, 26], 33, 40


def on_the_way(config):
    """(what the MLP's output is multiplied with, what the logits are) by the modelling files."""
    kind = config.model_type
    if kind == "granite":
        return config.residual_multiplier, 1 / config.logits_scaling
    if kind == "hyperclovax":
        return config.residual_multiplier, config.logits_scaling
    if kind == "minicpm3":
        return config.scale_depth / math.sqrt(config.num_hidden_layers), 1 / config.logits_scaling
    return 1.0, config.logit_scale if kind == "cohere" else 1.0


def linear(norm, x_D, w_D):
    """What the norm makes of w as a part of x: its scale as it is for x, no bias."""
    if "LayerNorm" in type(norm).__name__:
        x_D, w_D = x_D - x_D.mean(), w_D - w_D.mean()
    gain = getattr(norm, "weight", None)
    gain = 1.0 if gain is None else gain.double() + ("1P" in type(norm).__name__ or "Gemma" in type(norm).__name__)
    return w_D / x_D.square().mean().sqrt() * gain


@pytest.mark.parametrize(
    "variant",
    ["granite", "minicpm3", "hyperclovax_post_norm", "cohere_qk_norm", "olmo", "nemotron", "gemma", "phi", "opt"],
)
def test_direct_effects_and_the_logit_that_they_are_of(variant, tmp_path):
    live = load(str(make_model(variant, tmp_path / variant)), device="cpu")
    blocks, final_norm = plain.trunk(live)
    seen = {}
    norms = {
        "final": final_norm,
        **{layer: block.post_norm2 for layer, block in enumerate(blocks) if live.norm_after_mlp},
    }
    hooks = [
        norm.register_forward_pre_hook(lambda m, a, at=at: seen.update({at: a[0][0, -1].double()}))
        for at, norm in norms.items()
    ]
    acts = plain.activations(live, torch.tensor([IDS]))
    with torch.no_grad():
        logits_V = live.model(torch.tensor([IDS])).logits[0, -1].double()
    for hook in hooks:
        hook.remove()
    write_scale, logit_scale = on_the_way(live.model.config)
    u_VD = live.model.get_output_embeddings().weight.double()
    direction_D = logit_scale * (u_VD[TOKEN] - u_VD[AGAINST])
    target, last = LogitTarget(TOKEN, AGAINST), read_last_token(live, IDS)
    found_LN = direct_effects(live, last, target)
    for layer, block in enumerate(blocks):
        down_ND = plain.mlp_of(block).weights["down_proj"].double()
        for neuron in (0, 7, 31):
            w_D = down_ND[neuron]
            w_D = write_scale * (linear(norms[layer], seen[layer], w_D) if layer in norms else w_D)
            due = acts["mlp_post", layer][0, -1, neuron].double() * (
                direction_D @ linear(final_norm, seen["final"], w_D)
            )
            assert float(found_LN[layer, neuron]) == pytest.approx(float(due), rel=2e-3, abs=1e-5)
    # Both are of the logits that the model gives, its scale and the bias of its head with them.
    difference = float(logits_V[TOKEN] - logits_V[AGAINST])
    assert float(target.of(live, last.final_D[None])[0]) == pytest.approx(difference, rel=1e-4, abs=1e-5)
    found_V = log_probs(live, last.final_D[None], lambda values, rows: values)[0]
    torch.testing.assert_close(found_V.double(), logits_V.log_softmax(-1), rtol=1e-4, atol=1e-5)
