"""Run the model on a batch and hand each wanted activation to a sink, one layer at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from atlas.errors import ModelError
from atlas.live.expert_pass import Routed
from atlas.live.inputs import pass_inputs
from atlas.live.model import LiveModel
from atlas.live.taps import OnTensor, ResolvedTap

Sink = Callable[[str, int, Tensor], None]
RoutedSink = Callable[[str, int, Routed], None]
ROUTER = "router"
"""Asked as a site, beside others: the router's logits [batch, tokens, experts], of layers with experts alone."""


class _EverythingSeen(Exception):
    """Ends a forward pass after the last wanted tap; never leaves this module."""


def capture(
    live: LiveModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    sites: Sequence[str],
    layers: Sequence[int],
    sink: Sink,
    routed_sink: RoutedSink | None = None,
) -> None:
    """Run one batch and call `sink(site, layer, acts_BTN)` for each wanted site and layer, in forward order.

    `input_ids`, `attention_mask`: integer [batch, tokens], 1 on real tokens, on any device; of an image tower every
    token of an image is its number (inputs.py). `acts_BTN` is
    [batch, tokens, width] in the model's dtype, on its device, padding included. It is the model's own
    tensor and lives only during the call, so that no more than one layer's activations exist at a time:
    pool or copy it, never write into it. The LM head is not run, nor any layer after the last wanted one.

    At a layer with experts the neurons have activations on the tokens that were routed to them, and no tensor holds
    them all: `routed_sink(site, layer, routed)` is called for each of its experts, the shared one last or first.

    Raises ModelError for a site of such a layer without a `routed_sink`, when a wanted site is computed never, or twice
    (the model shares a module between layers), and whatever `sink` raises. No hook stays behind.
    """
    wanted = [
        (site, layer)
        for layer in sorted(set(layers))
        for site in dict.fromkeys(sites)
        if site != ROUTER or live.experts(layer) is not None
    ]
    routers = [place for place in wanted if place[0] == ROUTER]
    apart = [place for place in wanted if routed_sink is not None and place not in routers and live.experts_at(*place)]
    taps = [live.tap(site, layer) for site, layer in wanted if (site, layer) not in (*apart, *routers)]
    unseen = set(wanted)
    if not wanted:
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

    def done(site: str, layer: int) -> None:
        """After the block of a layer with experts."""
        if (site, layer) not in unseen:
            raise ModelError(f"layer {layer} ran twice in one pass, so {site} has no single value there")
        unseen.remove((site, layer))
        if not unseen:
            raise _EverythingSeen

    with ExitStack() as hooks, torch.inference_mode():
        for site, layer in apart:
            assert routed_sink is not None
            handles = _listen(live, site, layer, routed_sink, functools.partial(done, site, layer))
            for handle in handles:
                hooks.callback(handle.remove)
        for site, layer in routers:
            see = functools.partial(
                _see_router, live, layer, input_ids.shape, sink, functools.partial(done, site, layer)
            )
            experts = live.experts(layer)
            assert experts is not None
            hooks.callback(experts.router().register_forward_hook(see).remove)
        for tap in taps:
            hooks.callback(tap.register(reader(tap)).remove)
        base = live.base
        try:
            base(
                **pass_inputs(live, base.forward, input_ids, attention_mask),
                **({} if live.tower else {"use_cache": False}),
            )
        except _EverythingSeen:
            pass
    if unseen:
        missing = ", ".join(f"{site} of layer {layer}" for site, layer in sorted(unseen))
        raise ModelError(f"the forward pass of {live.model_id} never computed {missing}")


def _see_router(
    live: LiveModel,
    layer: int,
    shape: Sequence[int],
    sink: Sink,
    done: Callable[[], None],
    module: nn.Module,
    args: tuple[Any, ...],
    output: Any,
) -> None:
    experts = live.experts(layer)
    assert experts is not None
    sink(ROUTER, layer, experts.logits_of(output).view(*shape, experts.n_routed))
    done()


def _listen(
    live: LiveModel, site: str, layer: int, routed_sink: RoutedSink, done: Callable[[], None]
) -> tuple[Any, Any]:
    """Hand on what the experts of a layer compute, and say so when its block is through."""
    experts = live.experts(layer)
    assert experts is not None
    block = live.submodule(live.adapter.block.format(layer=layer))
    heard = experts.tap(site).register(lambda routed: routed_sink(site, layer, routed))
    return heard, block.register_forward_hook(lambda *_: done())
