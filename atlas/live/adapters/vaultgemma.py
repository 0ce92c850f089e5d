"""VaultGemma: Gemma 2 without a norm between the MLP and the residual stream."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.gemma import ADAPTER as GEMMA

ADAPTER = replace(GEMMA, family="vaultgemma", gguf_names={}, mlp_out_norm=None)
