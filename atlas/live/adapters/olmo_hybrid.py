"""OLMo Hybrid: blocks of linear attention as Llama's, and blocks of attention with OLMo 2's norm after the MLP."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.olmo2 import ADAPTER as OLMO2

ADAPTER = replace(OLMO2, family="olmo_hybrid", gguf_names={}, recurrent=True, joined=True)
