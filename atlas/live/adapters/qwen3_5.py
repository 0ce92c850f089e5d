"""Qwen3.5's language model: Qwen3-Next's blocks with an MLP in each."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.qwen3_next import ADAPTER as QWEN3_NEXT

ADAPTER = replace(QWEN3_NEXT, family="qwen3_5", experts=None)
