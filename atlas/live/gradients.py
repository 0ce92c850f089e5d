"""How a logit depends on every activation: one backward pass, each place handed to a sink as it is reached.

Parameters are frozen, so the graph starts at the input embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from atlas.errors import ModelError
from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel
from atlas.live.pooling import last_token
from atlas.live.positions import position_arguments
from atlas.live.relevance import relevance
from atlas.live.taps import OnTensor

GradientSink = Callable[[str, int, Tensor, Tensor], None]


def differentiate(
    live: LiveModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    sites: Sequence[str],
    layers: Sequence[int],
    target: LogitTarget,
    sink: GradientSink,
    *,
    relp: bool = False,
) -> Tensor:
    """Call `sink(site, layer, acts_BTN, grads_BTN)` for each wanted place, the last layer first; gives `target` [B].

    `input_ids`, `attention_mask`: integer [batch, tokens], 1 on real tokens. The target is that of the token after the
    last real one of each text; texts do not see each other, so one backward pass of their sum is that of each.
    `grads_BTN`: d target / d activation at every token, in the model's dtype; 0 on padding. Both tensors are the
    model's own: read them, never write into them. With `relp` it is RelP's coefficient (atlas/live/relevance.py).

    Raises ModelError when a wanted site is computed never, or twice, or nothing of the target depends on it, and as
    `relevance` does.
    """
    wanted = [live.tap(site, layer) for layer in sorted(set(layers)) for site in dict.fromkeys(sites)]
    seen: set[tuple[str, int]] = set()
    missing = {(tap.site, tap.layer) for tap in wanted}

    def reader(site: str, layer: int) -> OnTensor:
        def read(acts_BTN: Tensor) -> Tensor:
            if (site, layer) in seen:
                raise ModelError(f"{site} of layer {layer} ran twice in one pass, so it has no single gradient")
            seen.add((site, layer))
            own_BTN = acts_BTN.view_as(acts_BTN)  # of a fused tensor the part alone, on the way of the pass

            def arrived(grads_BTN: Tensor) -> None:
                missing.discard((site, layer))
                with torch.no_grad():
                    sink(site, layer, own_BTN.detach(), grads_BTN)

            own_BTN.register_hook(arrived)
            return own_BTN

        return read

    mask, base = attention_mask.to(live.device), live.base
    with ExitStack() as undo, torch.enable_grad(), _graph_from_embeddings(live) as embedded:
        # RelP makes mlp_post anew of the sites before it: it must find these as they were read, and be read itself.
        for after in (False, True):
            if after and relp:
                undo.enter_context(relevance(live))
            for tap in wanted:
                if (tap.site == "mlp_post") is after:
                    undo.callback(tap.register(reader(tap.site, tap.layer)).remove)
        final_BTD = base(
            input_ids=input_ids.to(live.device),
            attention_mask=mask,
            **position_arguments(live, base.forward, mask),
            use_cache=False,
        ).last_hidden_state
        rows_B = torch.arange(len(mask), device=live.device)
        values_B = target.of(live, final_BTD[rows_B, last_token(mask.bool())])
        torch.autograd.grad(values_B.sum(), embedded)
    if missing:
        where = ", ".join(f"{site} of layer {layer}" for site, layer in sorted(missing))
        raise ModelError(f"the logits of {live.model_id} do not depend on {where}")
    return values_B.detach()


@contextmanager
def _graph_from_embeddings(live: LiveModel) -> Iterator[list[Tensor]]:
    """Inside, the embeddings of tokens are what derivatives can be taken to; they are put into the list."""
    embedded: list[Tensor] = []

    def begin(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        embedded.append(output.detach().requires_grad_(True))
        return embedded[-1]

    handle = live.model.get_input_embeddings().register_forward_hook(begin)
    try:
        yield embedded
    finally:
        handle.remove()
