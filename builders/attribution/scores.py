"""The attributions of one prompt: for every neuron, by every computed rule. Axes: L layers, N neurons, T tokens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from atlas.errors import ModelError
from atlas.live.direct import SITE, LastToken, direct_effects
from atlas.live.gradients import differentiate
from atlas.live.intervene import intervene
from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel
from atlas.live.relevance import relevance
from atlas.spec.document import InterventionSpec


@dataclass(frozen=True)
class Scores:
    """What each neuron holds of the target, by rule (request.COMPUTED): [L, N] float32 each, on the CPU.

    `acts_LN`: the activations at the last token. Summed over tokens where that was asked for, but `direct`, which
    only the last token has.
    """

    acts_LN: Tensor
    by_rule: dict[str, Tensor]


def scores_of(live: LiveModel, ids: Sequence[int], last: LastToken, target: LogitTarget, *, only_last: bool) -> Scores:
    """Raises ModelError where they are no numbers, and what `differentiate` and `relevance` raise."""
    found = {
        "gradient": attribution(live, ids, target, only_last=only_last),
        "direct": direct_effects(live, last, target).cpu(),
        "relp": attribution(live, ids, target, only_last=only_last, relp=True),
    }
    if not all(bool(values_LN.isfinite().all()) for values_LN in found.values()):
        raise ModelError(f"{live.model_id} gives attributions that are no finite numbers", "Try --dtype float32.")
    return Scores(last.acts_LN.cpu(), found)


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

    def keep(layer: int, acts_BTN: Tensor) -> None:
        arriving[layer] = acts_BTN.detach()[0, tokens].float()

    def multiply(site: str, layer: int, acts_BTN: Tensor, grads_BTN: Tensor) -> None:
        found_LN[layer] = (arriving.pop(layer) * grads_BTN[0, tokens].float()).sum(0).cpu()

    with ExitStack() as undo:
        for layer in range(live.n_layers):
            tap = live.tap(SITE, layer)
            undo.callback(tap.register(lambda acts_BTN, layer=layer: keep(layer, acts_BTN)).remove)
        undo.enter_context(intervene(live, spec) if spec is not None else nullcontext())
        undo.enter_context(relevance(live) if relp else nullcontext())
        differentiate(live, ids_1T, torch.ones_like(ids_1T), [SITE], range(live.n_layers), target, multiply)
    return found_LN
