"""Qwen3-Next, Qwen3.5-MoE: linear attention in most layers; Qwen2-MoE's experts or an MLP, and Gemma's final norm."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import FinalNorm
from atlas.live.adapters.qwen2_moe import ADAPTER as QWEN2_MOE

ADAPTER = replace(QWEN2_MOE, family="qwen3_next", final_norm=FinalNorm("model.norm", "rms", offset=1.0), recurrent=True)
