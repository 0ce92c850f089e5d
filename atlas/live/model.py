"""LiveModel: a loaded model with names instead of module paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from atlas import sites as table
from atlas.errors import ModelError, UsageError
from atlas.live.adapters.base import Adapter, WeightPlace
from atlas.live.expert_layer import DENSE, ExpertLayer, Part, expert_layer
from atlas.live.sources import Source
from atlas.live.taps import ResolvedTap, part_of_axis

if TYPE_CHECKING:
    from typing import Self

    from transformers import GenerationMixin, PreTrainedModel

    class CausalModel(PreTrainedModel, GenerationMixin):
        """The causal language models of transformers: what they have in common, with the types that it leaves out."""

        def get_output_embeddings(self) -> nn.Linear: ...

        def get_input_embeddings(self) -> nn.Embedding: ...

        def eval(self) -> Self: ...

        def to(self, *args: Any, **kwargs: Any) -> Self: ...  # type: ignore[override]  # its decorator hides `self`


@dataclass
class LiveModel:
    """A language model, its tokenizer and its adapter, in eval mode with frozen parameters.

    `fingerprint` is filled in by `atlas.live.loading.load`; see atlas/live/fingerprint.py.
    `add_bos`: whether the tokenizer puts its beginning-of-sequence token before a text by default.
    `source`: where it was loaded from.
    """

    model: CausalModel
    tokenizer: Any
    adapter: Adapter
    model_id: str
    add_bos: bool
    fingerprint: str = ""
    source: Source | None = None

    n_layers: int = field(init=False)
    d_model: int = field(init=False)
    d_mlp: int = field(init=False)
    d_vocab: int = field(init=False)
    _experts: list[ExpertLayer | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Dims are measured on the weights: config fields may be absent or not mean this.
        self.n_layers = self.model.config.num_hidden_layers
        self.d_vocab, self.d_model = self.unembedding().shape
        self._experts = [expert_layer(self, layer) for layer in range(self.n_layers)]
        # The widest layer: narrower ones leave the last numbers out.
        self.d_mlp = max(self.neurons(layer) for layer in range(self.n_layers))

    @property
    def gated(self) -> bool:
        """Whether the MLP multiplies the activation function's output with a second branch."""
        return self.adapter.gated

    @property
    def hidden_act(self) -> str:
        """The name of the MLP's activation function, as in the config."""
        name: str = getattr(self.model.config, self.adapter.activation_field)
        return name

    @property
    def architecture(self) -> str:
        """The model's class name in transformers."""
        return type(self.model).__name__

    @property
    def gguf_name(self) -> str:
        """The architecture's name in GGUF files and llama.cpp."""
        name = self.adapter.gguf_names.get(self.model.config.model_type)
        if name is None:
            raise ModelError(f"GGUF files of {self.architecture} are not written here", "Use another form.")
        return name

    @property
    def base_path(self) -> str:
        """The path of the module that reads token ids: the model without its LM head."""
        return self.model.base_model_prefix

    @property
    def max_positions(self) -> int | None:
        """The longest input that the model was made for, in tokens, if its config says."""
        longest: int | None = self._configured("max_position_embeddings")
        return longest

    @property
    def sliding_window(self) -> int | None:
        """How many tokens a layer attends to, where there are layers so limited."""
        window: int | None = self._configured("sliding_window")
        return window

    @property
    def logit_softcap(self) -> float | None:
        """c where the model's logits are c * tanh(x / c) of what its LM head gives."""
        cap: float | None = self._configured(self.adapter.logit_softcap_field)
        return cap

    @property
    def mlp_bias_field(self) -> str | None:
        """The config field that would give every matrix of every MLP a bias, if this model's config has one."""
        name = self.adapter.mlp_bias_field
        return name if name is not None and hasattr(self.model.config, name) else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.unembedding().device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the model computes in."""
        return self.unembedding().dtype

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
        return self.weight_at(self.adapter.weights["down_proj"], layer).shape[0]

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
        return ResolvedTap(site, layer, path, self.submodule(path), place.io, place.part)

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

    def weight_at(self, place: WeightPlace, layer: int) -> Tensor:
        """What a family says is at `place`: w_ND [neurons, d_model], a view of the parameter."""
        matrix = self.parameter(place.parameter.format(layer=layer))
        rows_ND = matrix.T if place.neurons_last else matrix
        return rows_ND[part_of_axis(place.part, rows_ND.shape[0])]

    def bias(self, name: str, layer: int) -> Tensor | None:
        """The bias of `weight(name, layer)` of a dense layer, if any: [neurons] where it reads, else [d_model]."""
        return self.bias_at(self.adapter.weights[name], layer)

    def bias_at(self, place: WeightPlace, layer: int) -> Tensor | None:
        """The bias that belongs to the matrix at `place`, if any."""
        if place.bias is None:
            return None
        owner, _, attribute = place.bias.format(layer=layer).rpartition(".")
        bias = getattr(self.submodule(owner), attribute, None)
        return None if bias is None else bias[part_of_axis(place.part, bias.shape[0])]

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter and stored buffer by name: the model's own, so do not write into them."""
        return dict(self.model.state_dict())

    def unembedding(self) -> Tensor:
        """U [d_vocab, d_model]: the LM head; row t gives the logit of token t."""
        return self.model.get_output_embeddings().weight

    def embedding(self) -> Tensor:
        """W_E [V, D]: what tokens are looked up in."""
        return self.model.get_input_embeddings().weight

    def final_norm_gain(self) -> Tensor:
        """g [d_model], float32: what the final norm multiplies each residual dimension with."""
        norm = self.adapter.final_norm
        # Upcast first, as such models do: 1 + weight in bfloat16 would lose most of the weight.
        return self.parameter(f"{norm.module}.weight").float() + norm.offset

    def submodule(self, path: str) -> nn.Module:
        """The module at `path`, or ModelError: the adapter does not describe this model."""
        try:
            return self.model.get_submodule(path)
        except AttributeError as error:
            raise self._no_such("module", path) from error

    def parameter(self, path: str) -> Tensor:
        """The parameter at `path`, or ModelError: the adapter does not describe this model."""
        try:
            return self.model.get_parameter(path)
        except AttributeError as error:
            raise self._no_such("parameter", path) from error

    def _configured(self, name: str | None) -> Any:
        """The value of a config field; None where the config or, with None for a name, the family has no such field."""
        return None if name is None else getattr(self.model.config, name, None)

    def _no_such(self, kind: str, path: str) -> ModelError:
        return ModelError(f"the {self.adapter.family} adapter does not fit {self.model_id}: no {kind} {path}")

    def _require(self, kind: str, name: str, available: list[str]) -> None:
        if name not in available:
            reason = self.adapter.refusals.get(name, "the family has none")
            raise ModelError(f"{self.architecture} has no {kind} {name}: {reason}", f"It has: {', '.join(available)}.")

    def _check_layer(self, layer: int) -> None:
        if not 0 <= layer < self.n_layers:
            raise UsageError(f"there is no layer {layer}", f"Layers are 0 to {self.n_layers - 1}.")
