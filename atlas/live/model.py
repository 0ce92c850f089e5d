"""LiveModel: a loaded model with names instead of module paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from atlas import sites as table
from atlas.errors import ModelError, UsageError
from atlas.live.adapters.base import Adapter
from atlas.live.adapters.heads import Head
from atlas.live.expert_layer import DENSE, ExpertLayer, Part, expert_layer
from atlas.live.parameters import Parameters
from atlas.live.sources import Source
from atlas.live.stored import Stored
from atlas.live.taps import ResolvedTap

if TYPE_CHECKING:
    from atlas.live.images import Images
    from atlas.live.network import CausalModel
    from atlas.live.words import Words


@dataclass
class LiveModel(Parameters):
    """A language model or an encoder, its tokenizer and its adapter, in eval mode with frozen parameters.

    `fingerprint`, and `weights_fingerprint` of the kind that older files carry, are filled in by
    `atlas.live.loading.load`; see atlas/live/fingerprint.py.
    `add_bos`: whether the tokenizer puts its beginning-of-sequence token before a text by default; of an encoder,
    whether it puts special tokens around one.
    `source`: where it was loaded from. `stored`: what reads the parameters that the model was made without, if any.
    `validated`: whether the adapter was checked by passes of this `model`, or of a small `instance` of its config.
    `head`: what an encoder has behind its last block; None: an LM head.
    `around`: of an encoder, the special tokens before and after a text.
    `quantised`: how the checkpoint's weights were packed, JSON, where they were. `snapshot`: the folder of its config.
    `words`: what a head of words compares with. `images`: of an image tower, what it reads.
    """

    model: CausalModel
    tokenizer: Any
    adapter: Adapter
    model_id: str
    add_bos: bool
    fingerprint: str = ""
    weights_fingerprint: str = ""
    source: Source | None = None
    stored: Stored | None = None
    validated: str = "model"
    head: Head | None = None
    around: tuple[list[int], list[int]] = ([], [])
    quantised: str | None = None
    snapshot: str | None = None
    words: Words | None = None
    images: Images | None = None

    n_layers: int = field(init=False)
    d_model: int = field(init=False)
    d_mlp: int = field(init=False)
    d_vocab: int = field(init=False)
    _experts: list[ExpertLayer | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Dims are measured on the weights: config fields may be absent or not mean this.
        self.n_layers = self.config.num_hidden_layers
        # An image tower has no tokens that are looked up: its vocabulary are the words that it is compared with.
        self.d_vocab = len(self.labels) if self.images is not None else self._tokens().shape[0]
        self._experts = [expert_layer(self, layer) for layer in range(self.n_layers)]
        # The widest layer: narrower ones leave the last numbers out.
        self.d_mlp = max(self.neurons(layer) for layer in range(self.n_layers))
        first = self._experts[0]
        writes = self.adapter.weights["down_proj"]
        self.d_model = self._shape(writes, 0)[1] if first is None else first.weight("down_proj", 0).shape[1]

    @property
    def revision(self) -> str | None:
        """Which version of the model it is, as `Source.revision` says."""
        return None if self.source is None else self.source.revision(self.snapshot)

    @property
    def norm_after_mlp(self) -> bool:
        """Whether what any MLP writes is normed, alone or with the stream that it is added to."""
        return self.adapter.block_norm is not None or any(map(self.out_norm, range(self.n_layers)))

    def sites(self) -> list[str]:
        """The sites that this model has, in the order of the site table."""
        return [name for name in table.SITES if name in self.adapter.sites]

    def neuron_sites(self) -> list[str]:
        """Those of them that neurons of the MLP are read and edited at."""
        return [name for name in self.sites() if table.site(name).width == "d_mlp"]

    def weights(self) -> list[str]:
        """The weights that this model has, in the order of the weight table."""
        return [name for name in table.WEIGHTS if name in self.adapter.weights]

    def width(self, site: str, layer: int | None = None) -> int:
        """The length of the last axis of `site`, at one layer or at the widest."""
        dim = table.site(site).width
        if dim == "d_mlp" and layer is not None:
            return self.neurons(layer)
        width: int = getattr(self, dim)
        return width

    def neurons(self, layer: int) -> int:
        """How many neurons a layer has; of one with experts, those of all of them."""
        experts = self._experts[layer]
        if experts is not None:
            return experts.neurons
        return self._shape(self.adapter.weights["down_proj"], layer)[0]

    def experts(self, layer: int) -> ExpertLayer | None:
        """The experts of a layer; None where it is one MLP. Raises UsageError for a layer out of range."""
        self._check_layer(layer)
        return self._experts[layer]

    def experts_at(self, site: str, layer: int) -> ExpertLayer | None:
        """The experts whose neurons `site` of a layer is about; None where it is one tensor. Raises as `tap` does."""
        self.require_site(site)
        return self.experts(layer) if table.site(site).width == "d_mlp" else None

    @property
    def has_experts(self) -> bool:
        """Whether any layer is a mixture of experts."""
        return any(layer is not None for layer in self._experts)

    @property
    def layers_differ(self) -> bool:
        """Whether any layer is something else than one MLP of d_mlp neurons."""
        return self.has_experts or any(self.neurons(layer) != self.d_mlp for layer in range(self.n_layers))

    def parts(self, layer: int) -> list[Part]:
        """The experts of a layer; a dense one counts as one expert."""
        experts = self.experts(layer)
        return [Part(0, 0, self.neurons(layer), DENSE)] if experts is None else experts.parts()

    def require_site(self, site: str) -> None:
        """Raise UnknownNameError for an unknown site, ModelError with the reason for one that the family lacks."""
        table.site(site)
        self._require("site", site, self.sites())

    def tap(self, site: str, layer: int) -> ResolvedTap:
        """Where `site` of `layer` is on this model.

        Raises UnknownNameError for an unknown site, ModelError with the reason for one that the family does
        not have, UsageError for a layer out of range.
        """
        if self.experts_at(site, layer) is not None:
            raise ModelError(
                f"{site} of layer {layer} of {self.model_id} is not one tensor: the layer is a mixture of experts, "
                "whose neurons have activations on the tokens that are routed to them",
            )
        self._check_layer(layer)
        place = self.adapter.sites[site]
        path = place.module.format(layer=layer)
        block = self.submodule(self.adapter.block.format(layer=layer)) if self.adapter.flat else None
        home = None if self.stored is None else self.stored.device
        return ResolvedTap(site, layer, path, self.submodule(path), place.io, place.part, block, home)

    def weight(self, name: str, layer: int) -> Tensor:
        """w_ND [neurons, d_model]: the residual-space vector of every neuron of `layer`, one a row.

        For `down_proj` row n is what neuron n writes. A view of the model's parameter: do not write into it. Of a
        layer with experts a copy, because no view holds them in a row: `weight_parts` has views. Raises as `tap` does.
        """
        parts = [w_ND for _, w_ND in self.weight_parts(name, layer)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def weight_parts(self, name: str, layer: int) -> Iterator[tuple[int, Tensor]]:
        """(first neuron, w_ND [units, d_model]) of each expert of a layer, views; of a dense layer all at once."""
        table.weight(name)
        self._require("weight", name, self.weights())
        experts = self.experts(layer)
        if experts is None:
            yield 0, self.weight_at(self.adapter.weights[name], layer)
            return
        for part in experts.parts():
            yield part.first_neuron, experts.weight(name, part.expert)

    def bias(self, name: str, layer: int) -> Tensor | None:
        """The bias of `weight(name, layer)` of a dense layer, if any: [neurons] where it reads, else [d_model]."""
        return self.bias_at(self.adapter.weights[name], layer)

    def out_norm(self, layer: int) -> str | None:
        """The path of the norm between MLP and stream in `layer`, if there is one."""
        if self.adapter.mlp_out_norm is None:
            return None
        path = self.adapter.mlp_out_norm.format(layer=layer)
        block = self.adapter.block.format(layer=layer)
        if not hasattr(self.submodule(block), path.removeprefix(f"{block}.").partition(".")[0]):
            return None
        return None if isinstance(self.submodule(path), nn.Identity) else path

    def write_scale(self, layer: int) -> float:
        """What the output of the MLP of `layer`, or of the norm after it, is multiplied with before it is added."""
        if self.adapter.write_scale is None:
            return 1.0
        return float(getattr(self.submodule(self.adapter.block.format(layer=layer)), self.adapter.write_scale))

    def activation(self, layer: int) -> Callable[[Tensor], Tensor]:
        """The activation function of `layer`. Raises ModelError for a name that transformers does not know."""
        if self.adapter.activation_module is not None:
            return self.submodule(self.adapter.activation_module.format(layer=layer))
        if self.hidden_act not in ACT2FN:
            raise ModelError(f"{self.model_id} has the activation function {self.hidden_act!r}, which is not known")
        function: Callable[[Tensor], Tensor] = ACT2FN[self.hidden_act]
        return function

    def _require(self, kind: str, name: str, available: list[str]) -> None:
        if name not in available:
            reason = self.adapter.refusals.get(name, "the family has none")
            raise ModelError(f"{self.architecture} has no {kind} {name}: {reason}", f"It has: {', '.join(available)}.")

    def _check_layer(self, layer: int) -> None:
        if not 0 <= layer < self.n_layers:
            raise UsageError(f"there is no layer {layer}", f"Layers are 0 to {self.n_layers - 1}.")
