"""Bamba: Jamba's names, an MLP in every layer."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.jamba import ADAPTER as JAMBA

ADAPTER = replace(JAMBA, family="bamba", experts=None)
