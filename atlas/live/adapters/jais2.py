"""Jais 2: Arcee's MLP with LayerNorm."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.arcee import ADAPTER as ARCEE
from atlas.live.adapters.base import FinalNorm

ADAPTER = replace(ARCEE, family="jais2", final_norm=FinalNorm("model.norm", "layer"), gguf_names={"jais2": "jais2"})
