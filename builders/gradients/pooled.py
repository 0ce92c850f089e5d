"""Gradients of one reading's texts, at the tokens that count: each text gives one number a neuron.

Axes: B texts of a batch, T tokens, N neurons of a site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from atlas.live.batching import Batch, Counted, batches, counted_mask
from atlas.live.gradients import differentiate
from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel
from atlas.live.pooling import last_token

BATCH_TOKENS = 256
"""Padded tokens of a pass, of a text alone more: what a backward pass needs is kept of all layers."""


class Pooled(NamedTuple):
    """Of B texts, [B, N] float64: sums over the tokens that count, which at position `last` is one.

    `gradient_BN`: how the target answers to a shift of the activation at all of them, `attribution_BN` the sum of
    activation * gradient, `acts_BN` that of the activations.
    """

    acts_BN: Tensor
    gradient_BN: Tensor
    attribution_BN: Tensor


PooledSink = Callable[[str, int, Batch, Pooled], None]


def pooled_gradients(
    live: LiveModel,
    encoded: Sequence[Sequence[int]],
    counted: Counted | None,
    sites: Sequence[str],
    layers: Sequence[int],
    target: LogitTarget,
    sink: PooledSink,
    *,
    relp: bool = False,
) -> None:
    """Call `sink(site, layer, batch, pooled)` for each place and batch of the texts, whose target is one.

    `counted`: which tokens of each text count; None: the last. Raises as `differentiate`.
    """
    longest = max(map(len, encoded))
    for batch in batches(encoded, max(BATCH_TOKENS, longest)):
        mask_BT = _mask(batch, counted).to(live.device)

        def pool(site: str, layer: int, acts_BTN: Tensor, grads_BTN: Tensor, batch=batch, mask_BT=mask_BT) -> None:
            # Only what counts is made float64: at position `last` that is a token a text.
            rows, columns = mask_BT.nonzero(as_tuple=True)
            acts_XN, grads_XN = acts_BTN[rows, columns].double(), grads_BTN[rows, columns].double()
            sums = torch.zeros(3, len(mask_BT), acts_XN.shape[1], dtype=torch.float64, device=live.device)
            for sum_BN, values_XN in zip(sums, (acts_XN, grads_XN, acts_XN * grads_XN), strict=True):
                sum_BN.index_add_(0, rows, values_XN)
            sink(site, layer, batch, Pooled(*sums.cpu()))

        differentiate(live, batch.input_ids, batch.attention_mask, sites, layers, target, pool, relp=relp)


def _mask(batch: Batch, counted: Counted | None) -> Tensor:
    if counted is not None:
        return counted_mask(batch, counted)
    mask_BT = torch.zeros(batch.input_ids.shape, dtype=torch.bool)
    mask_BT[torch.arange(len(mask_BT)), last_token(batch.attention_mask.bool())] = True
    return mask_BT
