"""Llama 4: experts whose input is multiplied with the router's weight, an MLP beside them, and layers with one alone.

So an activation of a routed expert has that factor in it, before the activation function: another weight of the router
is another activation, which what it writes is not multiplied with again.
"""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Experts, Tap, WeightPlace
from atlas.live.adapters.llama import ADAPTER as LLAMA

MLP = "model.layers.{layer}.feed_forward"
SHARED = f"{MLP}.shared_expert"


def _sites(mlp: str) -> dict[str, Tap]:
    return {
        "mlp_pre": Tap(f"{mlp}.gate_proj", "output"),
        "mlp_pre_linear": Tap(f"{mlp}.up_proj", "output"),
        "mlp_post": Tap(f"{mlp}.down_proj", "input"),
    }


def _weights(mlp: str) -> dict[str, WeightPlace]:
    return {
        "up_proj": WeightPlace(f"{mlp}.up_proj.weight"),
        "gate_proj": WeightPlace(f"{mlp}.gate_proj.weight"),
        "down_proj": WeightPlace(f"{mlp}.down_proj.weight", neurons_last=True),
    }


ADAPTER = replace(
    LLAMA,
    family="llama4",
    base="model",
    mlp=MLP,
    sites={**_sites(MLP), "resid_post": LLAMA.sites["resid_post"]},
    weights=_weights(MLP),
    gguf_names={},
    mlp_bias_field=None,
    experts=Experts(
        f"{MLP}.experts",
        router=f"{MLP}.router",
        router_logits=1,
        shared=SHARED,
        sites=_sites(SHARED),
        weights=_weights(SHARED),
        scales_input=True,
    ),
)
