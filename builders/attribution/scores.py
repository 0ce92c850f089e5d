"""The attributions of one prompt: for every neuron, by every computed rule. Axes: L layers, N neurons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from atlas.errors import ModelError
from atlas.live.attribution import attribution
from atlas.live.direct import LastToken, direct_effects
from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel


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
