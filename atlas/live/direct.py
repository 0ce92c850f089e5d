"""The direct effect of neurons on a logit: what each adds to it by itself, past every later block. Forward passes only.

A neuron adds activation * w_out to the residual stream, which the final norm and the LM head turn into logits. With the
norm's scale as it was for this prompt, that share is activation * (direction . norm(w_out)), exactly, and the shares
of all that writes into the stream add up to the logit. Axes: L layers, N neurons, D d_model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel
from atlas.live.norms import FixedNorm, fixed_norm
from atlas.live.passes import Pass, run_pass
from atlas.live.taps import OnTensor

SITE = "mlp_post"


class LastToken(NamedTuple):
    """A prompt at its last token: activations [L, N] and the state [D] after the final norm, both float32.

    `norms`: the final norm as it was there, then that between each MLP and the stream, where the family has one.
    """

    acts_LN: Tensor
    final_D: Tensor
    norms: tuple[FixedNorm, ...]


def read_last_token(live: LiveModel, ids: Sequence[int]) -> LastToken:
    """One forward pass over the token ids of a prompt."""
    ids_1T = torch.tensor([list(ids)], device=live.device)
    with reading_last_token(live) as last_of:
        done = run_pass(live, ids_1T, torch.ones_like(ids_1T))
    return last_of(done)


@contextmanager
def reading_last_token(live: LiveModel) -> Iterator[Callable[[Pass], LastToken]]:
    """Look on while passes over one text are made inside.

    What is given tells, of the last of these passes, what it had at its last token.
    """
    acts: dict[int, Tensor] = {}
    out_norms = [live.out_norm(layer) for layer in range(live.n_layers)]
    places = [live.final_norm.module, *(place for place in out_norms if place is not None)]
    norms: dict[str, FixedNorm] = {}

    def keep(layer: int) -> OnTensor:
        return lambda acts_BTN: acts.update({layer: acts_BTN[0, -1].float()})

    def look(place: str, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        norms[place] = fixed_norm(live, module, args[0][0, -1].to(live.device), output[0, -1].to(live.device))

    def last_of(done: Pass) -> LastToken:
        acts_LN = torch.stack([acts[layer] for layer in range(live.n_layers)])
        return LastToken(acts_LN, done.final_BTD[0, -1].float(), tuple(norms[place] for place in places))

    with ExitStack() as undo:
        for layer in range(live.n_layers):
            undo.callback(live.tap(SITE, layer).register(keep(layer)).remove)
        for place in places:
            hook = live.submodule(place).register_forward_hook(functools.partial(look, place))
            undo.callback(hook.remove)
        yield last_of


def direct_effects(live: LiveModel, last: LastToken, target: LogitTarget) -> Tensor:
    """[L, N] float32: what each neuron adds to `target` by itself at the last token."""
    final_norm, *out_norms = last.norms
    with torch.inference_mode():
        into_stream_D = final_norm.backward(target.direction(live))
        effects = []
        for layer in range(live.n_layers):
            added_D = live.write_scale(layer) * into_stream_D
            written_D = out_norms[layer].backward(added_D) if out_norms else added_D
            per_unit_N = live.weight("down_proj", layer).float() @ written_D
            effects.append(last.acts_LN[layer] * per_unit_N)
    return torch.stack(effects)
