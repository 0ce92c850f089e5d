"""GLM-4: GLM's fused MLP with a further norm between it and the residual stream."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.phi3 import ADAPTER as FUSED

ADAPTER = replace(
    FUSED, family="glm4", gguf_names={"glm4": "glm4"}, mlp_out_norm="model.layers.{layer}.post_mlp_layernorm"
)
