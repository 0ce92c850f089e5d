"""Nemotron: Arcee's MLP with a LayerNorm that multiplies by (1 + weight)."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.arcee import ADAPTER as ARCEE
from atlas.live.adapters.base import FinalNorm, OlderRope

ADAPTER = replace(
    ARCEE,
    family="nemotron",
    final_norm=FinalNorm("model.norm", "layer", offset=1.0),
    gguf_names={"nemotron": "nemotron"},
    older_rope=OlderRope(default_share=0.5),
)
