"""What a neuron does to the direction that it reads: cosines of its weights, and the class that they make.

Gerstner and Schütze 2025 (arXiv 2505.17936). A cosine counts as 1 or -1 beyond THRESHOLD on its side, and as 0 between.

Axes: N neurons, D d_model.
"""

from __future__ import annotations

import numpy as np
import torch

THRESHOLD = 0.5

_KINDS = {1: "enrichment", -1: "depletion"}


def cosines(a_ND: torch.Tensor, b_ND: torch.Tensor) -> np.ndarray:
    """Row by row, float64 [N]; NaN where either vector is zero."""
    a_ND, b_ND = a_ND.double(), b_ND.double()
    length_N = a_ND.norm(dim=1) * b_ND.norm(dim=1)
    cosine_N = torch.linalg.vecdot(a_ND, b_ND) / torch.where(length_N > 0, length_N, torch.nan)
    found: np.ndarray = cosine_N.clamp(-1, 1).cpu().numpy()
    return found


def io_classes(in_out_N: np.ndarray, gate_out_N: np.ndarray | None, gate_in_N: np.ndarray | None) -> list[str | None]:
    """The class of each neuron; None where a cosine is NaN. Without a gate only `in_out` decides."""
    if gate_out_N is None or gate_in_N is None:
        return [None if np.isnan(c) else _KINDS.get(_step(c), "orthogonal output") for c in in_out_N.tolist()]
    triples = zip(in_out_N.tolist(), gate_out_N.tolist(), gate_in_N.tolist(), strict=True)
    return [None if np.isnan(triple).any() else _gated(*map(_step, triple)) for triple in triples]


def _gated(in_out: int, gate_out: int, gate_in: int) -> str:
    """The class of a neuron with a gate. Typical: gate and in lie to each other as both lie to out."""
    if not in_out and not gate_out:
        return "orthogonal output"
    kind = _KINDS.get(in_out, "proportional change")
    if not gate_out:
        kind = f"conditional {kind}"
    return kind if gate_in == gate_out * in_out else f"atypical {kind}"


def _step(cosine: float) -> int:
    return int(cosine > THRESHOLD) - int(cosine < -THRESHOLD)
