"""Granite 4 (GraniteMoeHybrid): Mamba layers and attention, then a fused MLP, with experts beside it or without."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.granitemoe import ADAPTER as GRANITEMOE
from atlas.live.adapters.granitemoe import BLOCK
from atlas.live.adapters.shapes import fused_mlp

assert GRANITEMOE.experts is not None
ADAPTER = replace(
    GRANITEMOE,
    family="granitemoehybrid",
    **fused_mlp(BLOCK, "shared_mlp.input_linear", "shared_mlp.output_linear"),
    experts=replace(GRANITEMOE.experts, dense_mlp=f"{BLOCK}.shared_mlp"),
    recurrent=True,
    unbounded_fields=("time_step_limit",),
)
