"""FlexOLMo: Mixtral's experts, and a further norm between them and the residual stream."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.mixtral import ADAPTER as MIXTRAL

ADAPTER = replace(MIXTRAL, family="flex_olmo", mlp_out_norm="model.layers.{layer}.post_feedforward_layernorm")
