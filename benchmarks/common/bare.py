"""The bare forward pass, which other work is divided by: nothing of it is kept."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from atlas.live.batching import batches
from atlas.live.capture import capture
from atlas.live.model import LiveModel

SITE = "mlp_post"


def forward_passes(live: LiveModel, encoded: list[list[int]], batch_tokens: int) -> None:
    """All batches of these texts."""
    for batch in batches(encoded, batch_tokens):
        forward_pass(live, batch.input_ids, batch.attention_mask)


def forward_pass(live: LiveModel, input_ids: Tensor, mask: Tensor, sites: Sequence[str] = (SITE,)) -> None:
    """One batch, on the device of the model, stopped at the last layer's site."""
    layers = list(range(live.n_layers))
    capture(live, input_ids.to(live.device), mask.to(live.device), list(sites), layers, lambda *_: None)
