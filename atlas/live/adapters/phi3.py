"""Phi-3: Llama's block with gate and up fused in one matrix, gate first."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Part, Tap, WeightPlace
from atlas.live.adapters.llama import ADAPTER as LLAMA
from atlas.live.adapters.llama import MLP

FUSED = f"{MLP}.gate_up_proj"
GATE, UP = Part(0, 2), Part(1, 2)

ADAPTER = replace(
    LLAMA,
    family="phi3",
    sites={
        **LLAMA.sites,
        "mlp_pre": Tap(FUSED, "output", GATE),
        "mlp_pre_linear": Tap(FUSED, "output", UP),
    },
    weights={
        **LLAMA.weights,
        "up_proj": WeightPlace(f"{FUSED}.weight", part=UP, bias=f"{FUSED}.bias"),
        "gate_proj": WeightPlace(f"{FUSED}.weight", part=GATE, bias=f"{FUSED}.bias"),
    },
    gguf_names={"phi3": "phi3"},
    mlp_bias_field=None,
)
