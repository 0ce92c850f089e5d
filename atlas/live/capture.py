"""Run the model on a batch and hand each wanted activation to a sink, one layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from atlas.errors import ModelError
from atlas.live.model import LiveModel
from atlas.live.positions import position_arguments
from atlas.live.taps import OnTensor, ResolvedTap

Sink = Callable[[str, int, Tensor], None]


class _EverythingSeen(Exception):
    """Ends a forward pass after the last wanted tap; never leaves this module."""


def capture(
    live: LiveModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    sites: Sequence[str],
    layers: Sequence[int],
    sink: Sink,
) -> None:
    """Run one batch and call `sink(site, layer, acts_BTN)` for each wanted site and layer, in forward order.

    `input_ids`, `attention_mask`: integer [batch, tokens], 1 on real tokens, on any device. `acts_BTN` is
    [batch, tokens, width] in the model's dtype, on its device, padding included. It is the model's own
    tensor and lives only during the call, so that no more than one layer's activations exist at a time:
    pool or copy it, never write into it. The LM head is not run, nor any layer after the last wanted one.

    Raises ModelError when a wanted site is computed never, or twice (the model shares a module between
    layers), and whatever `sink` raises. No hook stays behind.
    """
    taps = [live.tap(site, layer) for layer in sorted(set(layers)) for site in dict.fromkeys(sites)]
    unseen = {(tap.site, tap.layer) for tap in taps}
    if not taps:
        return

    def reader(tap: ResolvedTap) -> OnTensor:
        def read(acts_BTN: Tensor) -> None:
            if (tap.site, tap.layer) not in unseen:
                raise ModelError(f"{tap.path} ran twice in one pass, so {tap.site} has no single value there")
            unseen.remove((tap.site, tap.layer))
            sink(tap.site, tap.layer, acts_BTN)
            if not unseen:
                raise _EverythingSeen

        return read

    with ExitStack() as hooks, torch.inference_mode():
        for tap in taps:
            hooks.callback(tap.register(reader(tap)).remove)
        mask, base = attention_mask.to(live.device), live.base
        try:
            base(
                input_ids=input_ids.to(live.device),
                attention_mask=mask,
                **position_arguments(live, base.forward, mask),
                use_cache=False,
            )
        except _EverythingSeen:
            pass
    if unseen:
        missing = ", ".join(f"{site} of layer {layer}" for site, layer in sorted(unseen))
        raise ModelError(f"the forward pass of {live.model_id} never computed {missing}")
