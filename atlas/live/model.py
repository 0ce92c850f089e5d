"""LiveModel: a loaded model with names instead of module paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from atlas import sites as table
from atlas.errors import ModelError, UsageError
from atlas.live.adapters.base import Adapter, WeightPlace
from atlas.live.sources import Source
from atlas.live.stored import Stored
from atlas.live.taps import ResolvedTap, part_of_axis

if TYPE_CHECKING:
    from typing import Self

    from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel

    class CausalModel(PreTrainedModel, GenerationMixin):
        """The causal language models of transformers: what they have in common, with the types that it leaves out."""

        def get_output_embeddings(self) -> nn.Linear: ...

        def get_input_embeddings(self) -> nn.Embedding: ...

        def eval(self) -> Self: ...

        @classmethod
        def _from_config(cls, config: PretrainedConfig, **kwargs: Any) -> Self: ...

        def to(self, *args: Any, **kwargs: Any) -> Self: ...  # type: ignore[override]  # its decorator hides `self`


@dataclass
class LiveModel:
    """A language model, its tokenizer and its adapter, in eval mode with frozen parameters.

    `fingerprint`, and `weights_fingerprint` of the kind that older files carry, are filled in by
    `atlas.live.loading.load`; see atlas/live/fingerprint.py.
    `add_bos`: whether the tokenizer puts its beginning-of-sequence token before a text by default.
    `source`: where it was loaded from. `stored`: what reads the parameters that the model was made without, if any.
    `validated`: whether the adapter was checked by passes of this `model`, or of a small `instance` of its config.
    `quantised`: how the checkpoint's weights were packed, JSON, where they were.
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
    quantised: str | None = None

    n_layers: int = field(init=False)
    d_model: int = field(init=False)
    d_mlp: int = field(init=False)
    d_vocab: int = field(init=False)

    def __post_init__(self) -> None:
        # Dims are measured on the weights: config fields may be absent or not mean this.
        self.n_layers = self.model.config.num_hidden_layers
        self.d_vocab = self._head().shape[0]
        self.d_mlp, self.d_model = self.weight("down_proj", 0).shape

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
        return self.adapter.gguf_names[self.model.config.model_type]

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
        return self.stored.device if self.stored is not None and self._head().is_meta else self._head().device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the model computes in."""
        return self._head().dtype

    def has_fingerprint(self, known: str) -> bool:
        """Whether a file that carries the fingerprint `known`, of either kind, is about this model."""
        return known in (self.fingerprint, self.weights_fingerprint)

    def sites(self) -> list[str]:
        """The sites that this model has, in the order of the site table."""
        return [name for name in table.SITES if name in self.adapter.sites]

    def weights(self) -> list[str]:
        """The weights that this model has, in the order of the weight table."""
        return [name for name in table.WEIGHTS if name in self.adapter.weights]

    def width(self, site: str) -> int:
        """The length of the last axis of `site`."""
        width: int = getattr(self, table.site(site).width)
        return width

    def tap(self, site: str, layer: int) -> ResolvedTap:
        """Where `site` of `layer` is on this model.

        Raises UnknownNameError for an unknown site, ModelError with the reason for one that the family does
        not have, UsageError for a layer out of range.
        """
        table.site(site)
        self._require("site", site, self.sites())
        self._check_layer(layer)
        place = self.adapter.sites[site]
        path = place.module.format(layer=layer)
        home = None if self.stored is None else self.stored.device
        return ResolvedTap(site, layer, path, self.submodule(path), place.io, place.part, home)

    def weight(self, name: str, layer: int) -> Tensor:
        """w_ND [d_mlp, d_model]: the residual-space vector of every neuron of `layer`, one a row.

        For `down_proj` row n is what neuron n writes. A view of the model's parameter: do not write into it.
        Raises as `tap` does.
        """
        table.weight(name)
        self._require("weight", name, self.weights())
        self._check_layer(layer)
        place = self.adapter.weights[name]
        matrix = self.parameter(place.parameter.format(layer=layer))
        rows_ND = matrix.T if place.neurons_last else matrix
        return rows_ND[part_of_axis(place.part, rows_ND.shape[0])]

    def bias(self, name: str, layer: int) -> Tensor | None:
        """The bias of `weight(name, layer)`, if any: [d_mlp] where it reads, [d_model] for down_proj."""
        place: WeightPlace = self.adapter.weights[name]
        if place.bias is None:
            return None
        owner, _, attribute = place.bias.format(layer=layer).rpartition(".")
        bias = getattr(self.submodule(owner), attribute, None)
        if bias is None:
            return None
        return self._values(f"{owner}.{attribute}", bias)[part_of_axis(place.part, bias.shape[0])]

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter and stored buffer by name: the model's own, so do not write into them."""
        return dict(self.model.state_dict())

    def unembedding(self) -> Tensor:
        """U [d_vocab, d_model]: the LM head; row t gives the logit of token t."""
        return self.values_in(self.model.get_output_embeddings(), "weight")

    def unembedding_rows(self, ids: Tensor) -> Tensor:
        """Rows of U, a copy [len(ids), d_model]: where U is large, some at a time."""
        head = self._head()
        if self.stored is not None and head.is_meta:
            return self.stored.rows(self._path_of(self.model.get_output_embeddings(), "weight"), ids)
        return head.index_select(0, ids.to(head.device))

    def embedding(self) -> Tensor:
        """W_E [V, D]: what tokens are looked up in."""
        return self.values_in(self.model.get_input_embeddings(), "weight")

    def final_norm_gain(self) -> Tensor:
        """g [d_model], float32: what the final norm multiplies each residual dimension with."""
        norm = self.adapter.final_norm
        # Upcast first, as such models do: 1 + weight in bfloat16 would lose most of the weight.
        return self.parameter(f"{norm.module}.weight").float() + norm.offset

    def values_in(self, module: nn.Module, name: str) -> Tensor:
        """The parameter `name` of one of the model's modules. Do not write into it."""
        parameter = module.get_parameter(name)
        return parameter if self.stored is None else self._values(self._path_of(module, name), parameter)

    def submodule(self, path: str) -> nn.Module:
        """The module at `path`, or ModelError: the adapter does not describe this model."""
        try:
            return self.model.get_submodule(path)
        except AttributeError as error:
            raise self._no_such("module", path) from error

    def parameter(self, path: str) -> Tensor:
        """The parameter at `path`, or ModelError: the adapter does not describe this model."""
        try:
            return self._values(path, self.model.get_parameter(path))
        except AttributeError as error:
            raise self._no_such("parameter", path) from error

    def _head(self) -> Tensor:
        return self.model.get_output_embeddings().weight

    def _path_of(self, module: nn.Module, name: str) -> str:
        return next(f"{path}.{name}" for path, each in self.model.named_modules() if each is module)

    def _values(self, path: str, parameter: Tensor) -> Tensor:
        """The parameter at `path`, on the model's one device; read now where the model does not hold it."""
        if self.stored is None:
            return parameter
        return self.stored.values(path) if parameter.is_meta else parameter.to(self.stored.device)

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
