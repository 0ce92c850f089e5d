"""Activation times gradient of one prompt, for every neuron: what each holds of a logit, to first order.

Axes: L layers, N neurons, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext

import torch
from torch import Tensor

from atlas.live.direct import SITE
from atlas.live.gradients import differentiate
from atlas.live.intervene import intervene
from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel
from atlas.live.taps import OnTensor
from atlas.spec.document import InterventionSpec


def attribution(
    live: LiveModel,
    ids: Sequence[int],
    target: LogitTarget,
    *,
    only_last: bool,
    relp: bool = False,
    spec: InterventionSpec | None = None,
) -> Tensor:
    """activation * d target / d activation [L, N], of the last token or summed over all; `relp`: by its rules.

    Under `spec` the derivatives are those of the edited pass, and the activations those that arrive at its edits.
    """
    ids_1T = torch.tensor([list(ids)], device=live.device)
    tokens = slice(-1, None) if only_last else slice(None)
    arriving: dict[int, Tensor] = {}
    found_LN = torch.zeros(live.n_layers, live.d_mlp)

    def keep(layer: int) -> OnTensor:
        return lambda acts_BTN: arriving.update({layer: acts_BTN.detach()[0, tokens].float()})

    def multiply(site: str, layer: int, acts_BTN: Tensor, grads_BTN: Tensor) -> None:
        found_LN[layer] = (arriving.pop(layer) * grads_BTN[0, tokens].float()).sum(0).cpu()

    with ExitStack() as undo:
        for layer in range(live.n_layers):
            undo.callback(live.tap(SITE, layer).register(keep(layer)).remove)
        undo.enter_context(intervene(live, spec) if spec is not None else nullcontext())
        differentiate(live, ids_1T, torch.ones_like(ids_1T), [SITE], range(live.n_layers), target, multiply, relp=relp)
    return found_LN
