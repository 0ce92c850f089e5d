"""How often do the gates open? The share of salient neurons whose activation lies inside the range of a class.

Axes: A arms (target and tau), E texts, B texts of a batch, T tokens, N neurons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from atlas.live.batching import batches, encode
from atlas.live.capture import capture
from atlas.live.model import LiveModel
from atlas.live.pooling import pool
from atlas.spec.document import InterventionSpec
from benchmarks.ranges.masking import Setting


def firing(
    live: LiveModel, setting: Setting, specs: Mapping[tuple[str, str], InterventionSpec], prompts: Sequence[list[int]]
) -> dict[str, np.ndarray]:
    """`last_AE` and `all_AE`: share of the edits of each spec with a range whose condition holds in the model as
    it is, at the last token of each prompt, and over all its tokens; `acts_EN`: last-token activations, float32.
    """
    gates = [_gates(spec) for spec in specs.values() if all(edit.when is not None for edit in spec.edits)]
    n_edits_A = np.array([sum(len(neurons) for neurons, *_ in gate.values()) for gate in gates])[:, None]
    last_AE, all_AE = (np.zeros((len(gates), len(prompts))) for _ in range(2))
    acts_EN = [np.empty((len(prompts), live.width(setting.site)), np.float32) for _ in setting.layers]
    for batch in batches(prompts, 2048):
        mask_BT = batch.attention_mask.bool()
        lengths_B = mask_BT.sum(1)

        def look(site: str, layer: int, acts_BTN: torch.Tensor, batch=batch, mask=mask_BT, lengths=lengths_B) -> None:
            acts_BTN = acts_BTN.float().cpu()
            acts_EN[layer - setting.layers[0]][batch.indices] = pool(acts_BTN, mask, "last").numpy()
            rows = torch.arange(len(lengths))
            for arm, gate in enumerate(gates):
                if layer not in gate:
                    continue
                neurons, lower, upper = gate[layer]
                own_BTN = acts_BTN[..., neurons]
                open_BT = ((own_BTN >= lower) & (own_BTN <= upper)).sum(-1) * mask
                last_AE[arm, batch.indices] += open_BT[rows, lengths - 1].numpy()
                all_AE[arm, batch.indices] += (open_BT.sum(1) / lengths).numpy()

        capture(live, batch.input_ids, batch.attention_mask, [setting.site], list(setting.layers), look)
    return {"last_AE": last_AE / n_edits_A, "all_AE": all_AE / n_edits_A, "acts_EN": np.concatenate(acts_EN, axis=1)}


def prompt_ids(live: LiveModel, texts: Sequence[str], template: str) -> list[list[int]]:
    return encode(live, list(texts), template, 512).input_ids


def _gates(spec: InterventionSpec) -> dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """layer -> (neurons, lower, upper); float32 bounds, as an edit compares them."""
    found = {}
    for layer in sorted({edit.layer for edit in spec.edits}):
        own = [edit for edit in spec.edits if edit.layer == layer]
        found[layer] = (
            torch.tensor([edit.neuron for edit in own]),
            torch.tensor([edit.when.lower for edit in own]),
            torch.tensor([edit.when.upper for edit in own]),
        )
    return found
