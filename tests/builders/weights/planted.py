"""A tiny model whose neurons have known relations, and its weights in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from atlas.live.quiet import quiet
from tests.synthetic import make_model

COPY = {"L2N7": "L0N5", "L1N9": "L1N8"}
"""Redundant neurons; the first is turned around twice."""
ZERO = "L1N4"
"""It writes nothing."""
ENRICHMENT, DEPLETION = "L0N1", "L0N2"


def planted_model(folder: Path) -> Path:
    """A gated model of 3 layers with 32 neurons of these relations, and unequal gains in its final norm."""
    make_model("llama", folder)
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        mlp = [block.mlp for block in model.model.layers]
        for to, origin, sign in ((mlp[2], (mlp[0], 5, 7), -1), (mlp[1], (mlp[1], 8, 9), 1)):
            source, n, m = origin
            to.up_proj.weight[m] = sign * source.up_proj.weight[n]
            to.gate_proj.weight[m] = source.gate_proj.weight[n]
            to.down_proj.weight[:, m] = sign * source.down_proj.weight[:, n]
        mlp[1].down_proj.weight[:, 4] = 0
        for n, sign in ((1, 1), (2, -1)):
            mlp[0].gate_proj.weight[n] = mlp[0].up_proj.weight[n]
            mlp[0].down_proj.weight[:, n] = sign * mlp[0].up_proj.weight[n]
        model.model.norm.weight.copy_(torch.linspace(0.5, 2, 16))
    with quiet():
        model.save_pretrained(folder)
    return folder


def weights_of(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(weight -> [layers, N, D], unembedding [V, D], gain [D]) in float64."""
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    blocks = [block.mlp for block in model.model.layers]
    found = {
        name: np.stack([getattr(mlp, name).weight.detach().double().numpy() for mlp in blocks])
        for name in ("up_proj", "gate_proj", "down_proj")
    }
    found["down_proj"] = found["down_proj"].transpose(0, 2, 1)
    unembedding = model.lm_head.weight.detach().double().numpy()
    return found, unembedding, model.model.norm.weight.detach().double().numpy()
