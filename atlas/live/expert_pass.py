"""The forward pass of a layer's experts, for all families in one place: where their activations are read and edited.

transformers asks a table for the function that runs an experts module, whatever the family
(`transformers.integrations.moe`). Ours does what the modules do themselves, expert by expert over the tokens that were
routed to it, and lets listeners see a unit's activations before they are written. No weight is copied: one expert's
matrix is a view of the parameter that holds them all.

Axes: T tokens of the pass (batch x tokens, row by row), K experts a token is routed to, R tokens routed to one expert,
D d_model, N units of an expert.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from atlas.errors import ModelError

NAME = "neuron_atlas"
"""What transformers calls our function."""


class Routed(NamedTuple):
    """What one expert computes in a pass. `acts_RN` are the model's own: read them, never write into them."""

    expert: int
    tokens_R: Tensor
    """int64: which of the T tokens were routed there, ascending."""
    acts_RN: Tensor


OnRouted = Callable[[Routed], Tensor | None]
"""A tensor that it returns takes the place of `acts_RN`; None leaves them as they are."""

_LISTENERS: weakref.WeakKeyDictionary[nn.Module, list[tuple[str, OnRouted]]] = weakref.WeakKeyDictionary()


class Listening:
    """What `listen` returns: `remove` ends it."""

    def __init__(self, module: nn.Module, entry: tuple[str, OnRouted]) -> None:
        self._module, self._entry = module, entry

    def remove(self) -> None:
        """No more calls; calling it twice is harmless."""
        # By identity: two listeners may well be the same function.
        kept = [entry for entry in _LISTENERS.get(self._module, ()) if entry is not self._entry]
        _LISTENERS[self._module] = kept


def listen(module: nn.Module, site: str, on_routed: OnRouted) -> Listening:
    """Call `on_routed` for every expert of `module` that tokens are routed to, in every pass, until it is removed."""
    entry = (site, on_routed)
    _LISTENERS.setdefault(module, []).append(entry)
    return Listening(module, entry)


def register() -> None:
    """Make our function known to transformers. Raises ModelError where it has no such table."""
    try:
        from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
    except ImportError as error:
        raise ModelError(
            "this version of transformers runs experts in a way that is not known here",
            "Use transformers 5.9 or newer.",
        ) from error
    ALL_EXPERTS_FUNCTIONS.register(NAME, experts_forward)


def branches(experts: Any) -> dict[str, slice]:
    """The columns of what an expert reads with, by site: gate and linear branch, one after the other or in turn."""
    if not experts.has_gate:
        return {"mlp_pre": slice(None)}
    if not experts.is_concatenated:
        return {"mlp_pre": slice(0, None, 2), "mlp_pre_linear": slice(1, None, 2)}
    both = experts.gate_up_proj.shape[2 if experts.is_transposed else 1]
    return {"mlp_pre": slice(0, both // 2), "mlp_pre_linear": slice(both // 2, None)}


def reading_name(experts: Any) -> str:
    """The parameter that an expert reads with."""
    return "gate_up_proj" if experts.has_gate else "up_proj"


def experts_forward(experts: Any, hidden_TD: Tensor, chosen_TK: Tensor, weights_TK: Tensor) -> Tensor:
    """What the experts write for each token, weighted and summed, [T, D]: as the module's own eager forward."""
    out_TD = torch.zeros_like(hidden_TD)
    for expert in torch.unique(chosen_TK).tolist():
        if expert >= experts.num_experts:  # the mark of a slot without an expert
            continue
        tokens_R, slot_R = torch.where(chosen_TK == expert)
        written_RD = written_by(experts, expert, tokens_R, hidden_TD[tokens_R])
        written_RD = written_RD * weights_TK[tokens_R, slot_R, None]
        out_TD.index_add_(0, tokens_R, written_RD.to(out_TD.dtype))
    return out_TD


def written_by(experts: Any, expert: int, tokens_R: Tensor, hidden_RD: Tensor) -> Tensor:
    """What one expert writes of what it reads at some tokens, [R, D]; listeners see and may change its activations."""
    listeners = _LISTENERS.get(experts, [])
    read_R = _times(experts, reading_name(experts), expert, hidden_RD)
    for site, columns in branches(experts).items():
        part = _heard(listeners, site, Routed(expert, tokens_R, read_R[:, columns]))
        if part is not None:
            read_R = read_R.clone()
            read_R[:, columns] = part
    acts_RN = experts._apply_gate(read_R) if experts.has_gate else experts.act_fn(read_R)
    edited_RN = _heard(listeners, "mlp_post", Routed(expert, tokens_R, acts_RN))
    return _times(experts, "down_proj", expert, acts_RN if edited_RN is None else edited_RN)


def _times(experts: Any, name: str, expert: int, x_R: Tensor) -> Tensor:
    weight: Tensor = getattr(experts, name)[expert]
    bias: Tensor | None = getattr(experts, f"{name}_bias")[expert] if experts.has_bias else None
    if not experts.is_transposed:
        return linear(x_R, weight, bias)
    return x_R @ weight if bias is None else x_R @ weight + bias


def _heard(listeners: list[tuple[str, OnRouted]], site: str, routed: Routed) -> Tensor | None:
    """What the listeners at a site make of the activations, one after the other; None where none changed them."""
    changed = None
    for heard_at, on_routed in listeners:
        if heard_at == site:
            edited = on_routed(routed)
            if edited is not None:
                changed, routed = edited, routed._replace(acts_RN=edited)
    return changed
