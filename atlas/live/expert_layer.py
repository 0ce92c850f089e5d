"""A layer that is a mixture of experts: its neurons, expert by expert, and where they read, act and write.

Neuron = first neuron of the expert + unit: routed experts in their order, all of one width, then the shared MLP that
every token passes, which is one more expert of a width of its own. A neuron of a routed expert has an activation on
the tokens that were routed there and on no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from atlas.errors import ModelError
from atlas.live.expert_pass import OnRouted, Routed, branches, listen, reading_name
from atlas.live.scaled_experts import take_over
from atlas.live.taps import ResolvedTap

if TYPE_CHECKING:
    from atlas.live.model import LiveModel

ROUTED, SHARED, DENSE = "routed", "shared", "dense"
"""Kinds of expert; a dense layer of a model whose other layers have experts counts as one."""


class Part(NamedTuple):
    """One expert: `kind` is ROUTED, SHARED or DENSE."""

    expert: int
    first_neuron: int
    neurons: int
    kind: str


class Handle(Protocol):
    """A registration."""

    def remove(self) -> None:
        """End it."""


class Removing(NamedTuple):
    """Several registrations as one."""

    handles: tuple[Handle, ...]

    def remove(self) -> None:
        """End them all."""
        for handle in self.handles:
            handle.remove()


@dataclass(frozen=True)
class ExpertTap:
    """A site at a layer with experts: read and edited expert by expert through one registration."""

    site: str
    layer: int
    path: str
    module: nn.Module
    n_routed: int
    shared: ResolvedTap | None

    def register(self, on_routed: OnRouted) -> Removing:
        """Call `on_routed` for each expert that tokens are routed to, and for the shared one with all of them.

        The caller removes the handle. Tokens are numbered batch row by batch row, padding included.
        """
        handles: list[Handle] = [listen(self.module, self.site, on_routed)]
        if self.shared is not None:
            expert = self.n_routed

            def on_tensor(acts: Tensor) -> Tensor | None:
                acts_TN = acts.reshape(-1, acts.shape[-1])
                tokens_T = torch.arange(len(acts_TN), device=acts.device)
                edited = on_routed(Routed(expert, tokens_T, acts_TN))
                return None if edited is None else edited.reshape(acts.shape)

            handles.append(self.shared.register(on_tensor))
        return Removing(tuple(handles))


@dataclass(frozen=True)
class ExpertLayer:
    """`experts`: the module that holds the weights of all routed experts; `shared_width`: 0 without a shared one."""

    live: LiveModel
    layer: int
    path: str
    experts: Any
    n_routed: int
    width: int
    shared_width: int

    @property
    def neurons(self) -> int:
        """Of all experts together."""
        return self.n_routed * self.width + self.shared_width

    def parts(self) -> list[Part]:
        """Every expert, in the order of the neurons."""
        routed = [Part(each, each * self.width, self.width, ROUTED) for each in range(self.n_routed)]
        last = self.n_routed * self.width
        return routed + ([Part(self.n_routed, last, self.shared_width, SHARED)] if self.shared_width else [])

    def place(self, neuron: int) -> tuple[int, int]:
        """(expert, unit) of a neuron."""
        expert = min(neuron // self.width, self.n_routed)
        return expert, neuron - expert * self.width

    def tap(self, site: str) -> ExpertTap:
        """Where a site of the neurons is."""
        adapter = self.live.adapter
        shared = None
        if self.shared_width:
            assert adapter.experts is not None
            place = adapter.experts.sites[site]
            path = place.module.format(layer=self.layer)
            shared = ResolvedTap(site, self.layer, path, self.live.submodule(path), place.io, place.part)
        return ExpertTap(site, self.layer, self.path, self.experts, self.n_routed, shared)

    @property
    def router_path(self) -> str:
        """Where the module is that chooses experts."""
        assert self.live.adapter.experts is not None
        return self.live.adapter.experts.router.format(layer=self.layer)

    def router(self) -> nn.Module:
        """The module that chooses experts."""
        return self.live.submodule(self.router_path)

    def logits_of(self, output: Any) -> Tensor:
        """The logits [tokens, experts] in what the router returns."""
        assert self.live.adapter.experts is not None
        logits: Tensor = output[self.live.adapter.experts.router_logits] if isinstance(output, tuple) else output
        return logits.reshape(-1, self.n_routed)

    @property
    def scales_input(self) -> bool:
        """Whether the router's weight multiplies what an expert reads, in place of what it writes."""
        assert self.live.adapter.experts is not None
        return self.live.adapter.experts.scales_input

    def weight(self, name: str, expert: int) -> Tensor:
        """w_ND [units, d_model] of one expert, a view of the parameter: do not write into it."""
        if expert == self.n_routed:
            return self.live.weight_at(self._shared_place(name), self.layer)
        transposed = self.experts.is_transposed
        if name == "down_proj":
            written: Tensor = self.experts.down_proj[expert]
            return written if transposed else written.T
        read: Tensor = getattr(self.experts, reading_name(self.experts))[expert]
        return (read.T if transposed else read)[self._columns(name)]

    def bias(self, name: str, expert: int) -> Tensor | None:
        """The bias of that weight, if any."""
        if expert == self.n_routed:
            return self.live.bias_at(self._shared_place(name), self.layer)
        if not self.experts.has_bias:
            return None
        bias: Tensor = self.experts.down_proj_bias[expert]
        if name != "down_proj":
            bias = getattr(self.experts, f"{reading_name(self.experts)}_bias")[expert][self._columns(name)]
        return bias

    def _columns(self, name: str) -> slice:
        found = branches(self.experts)
        if len(found) == 1:
            return found["mlp_pre"]
        return found["mlp_pre" if name == "gate_proj" else "mlp_pre_linear"]

    def _shared_place(self, name: str) -> Any:
        assert self.live.adapter.experts is not None
        return self.live.adapter.experts.weights[name]


def expert_layer(live: LiveModel, layer: int) -> ExpertLayer | None:
    """What is known of a layer with experts; None for a dense one. Raises ModelError for experts of another build."""
    places = live.adapter.experts
    if places is None:
        return None
    path = places.module.format(layer=layer)
    try:
        module: Any = live.model.get_submodule(path)
    except AttributeError:
        return None
    if places.scales_input:
        take_over(module, live.submodule(places.router.format(layer=layer)))
    told = ("has_gate", "has_bias", "is_transposed", "is_concatenated", "num_experts", "down_proj")
    absent = [name for name in told if not hasattr(module, name)]
    if absent:
        raise ModelError(
            f"the {live.adapter.family} adapter does not fit {live.model_id}: {path} does not tell its {absent[0]}",
            "Its experts are not run by transformers' experts interface.",
        )
    if getattr(module, "has_post_expert_norm", False):
        raise ModelError(f"{live.model_id} has a norm after each expert, so neurons do not add up to what it writes")
    if module.has_gate != live.adapter.gated:
        raise ModelError(f"the {live.adapter.family} adapter does not fit {live.model_id}: gated is {module.has_gate}")
    width = module.down_proj.shape[1 if module.is_transposed else 2]
    shared = 0
    if places.shared is not None and _has(live, places.shared.format(layer=layer)):
        shared = live.weight_at(places.weights["down_proj"], layer).shape[0]
    return ExpertLayer(live, layer, path, module, module.down_proj.shape[0], width, shared)


def _has(live: LiveModel, path: str) -> bool:
    try:
        return live.model.get_submodule(path) is not None
    except AttributeError:
        return False
