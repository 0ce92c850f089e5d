"""LFM3: LFM2, where the config says so with a further norm between the MLP and the residual stream."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.lfm2 import ADAPTER as LFM2
from atlas.live.adapters.lfm2 import BLOCK

ADAPTER = replace(LFM2, family="lfm3", gguf_names={}, mlp_out_norm=f"{BLOCK}.post_ffn_norm")
