"""LiveModel: a loaded model with names instead of module paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.activations import ACT2FN

from atlas import sites as table
from atlas.errors import ModelError, UsageError
from atlas.live.adapters.base import Adapter, WeightPlace
from atlas.live.sources import Source
from atlas.live.taps import ResolvedTap, part_of_axis

if TYPE_CHECKING:
    from typing import Self

    from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel

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

    def __post_init__(self) -> None:
        # Dims are measured on the weights: config fields may be absent or not mean this.
        self.n_layers = self.config.num_hidden_layers
        self.d_vocab = self.unembedding().shape[0]
        self.d_mlp, self.d_model = self.weight("down_proj", 0).shape

    @property
    def gated(self) -> bool:
        """Whether the MLP multiplies the activation function's output with a second branch."""
        return self.adapter.gated

    @property
    def config(self) -> PretrainedConfig:
        """The config of the language model: a part of the checkpoint's where that has other parts beside it."""
        return self.model.config.get_text_config()

    @property
    def hidden_act(self) -> str:
        """The name of the MLP's activation function, as in the config."""
        name: str = self._configured(self.adapter.activation_field) or self.adapter.activation
        return name

    @property
    def architecture(self) -> str:
        """The model's class name in transformers."""
        return type(self.model).__name__

    @property
    def is_causal(self) -> bool:
        """Whether transformers loads it as a causal language model, and not by a class that also sees images."""
        return type(self.model.config) in MODEL_FOR_CAUSAL_LM_MAPPING

    @property
    def gguf_name(self) -> str | None:
        """The architecture's name in GGUF files and llama.cpp; None where they have none."""
        return self.adapter.gguf_names.get(self.model.config.model_type)

    @property
    def base_path(self) -> str:
        """The path of the module that reads token ids: the model without its LM head."""
        return self.adapter.base or self.model.base_model_prefix

    @property
    def base(self) -> nn.Module:
        """The module at `base_path`; it returns `last_hidden_state`, and its cache."""
        return self.submodule(self.base_path) if self.adapter.base else self.model.base_model

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
    def first_position(self) -> int:
        """The position id of a text's first token."""
        before: int | None = self._configured(self.adapter.first_position_after)
        return 0 if before is None else before + 1

    @property
    def logit_softcap(self) -> float | None:
        """c where the model's logits are c * tanh(x / c) of what its LM head gives."""
        cap: float | None = self._configured(self.adapter.logit_softcap_field)
        return cap

    @property
    def logit_scale(self) -> float:
        """What the model multiplies with what its LM head gives, before any cap."""
        scale = self._configured(self.adapter.logit_scale_field)
        divisor = self._configured(self.adapter.logit_divisor_field)
        return float(1 if scale is None else scale) / float(1 if divisor is None else divisor)

    @property
    def norm_after_mlp(self) -> bool:
        """Whether a norm stands between MLP and residual stream."""
        return self.out_norm(0) is not None

    @property
    def mlp_bias_field(self) -> str | None:
        """The config field that would give every matrix of every MLP a bias, if this model's config has one."""
        name = self.adapter.mlp_bias_field
        return name if name is not None and hasattr(self.config, name) else None

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
        block = self.submodule(self.adapter.block.format(layer=layer)) if self.adapter.flat else None
        return ResolvedTap(site, layer, path, self.submodule(path), place.io, place.part, block)

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
        return None if bias is None else bias[part_of_axis(place.part, bias.shape[0])]

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter and stored buffer by name: the model's own, so do not write into them."""
        return dict(self.model.state_dict())

    def unembedding(self) -> Tensor:
        """U [d_vocab, d_model]: the LM head; row t gives the logit of token t."""
        return self.model.get_output_embeddings().weight

    def unembedding_bias(self) -> Tensor | None:
        """The bias of the LM head [d_vocab], if it has one."""
        bias: Tensor | None = getattr(self.model.get_output_embeddings(), "bias", None)
        return bias

    def embedding(self) -> Tensor:
        """W_E [V, D]: what tokens are looked up in."""
        return self.model.get_input_embeddings().weight

    def final_norm_gain(self) -> Tensor:
        """g [d_model], float32: what the final norm multiplies each residual dimension with."""
        norm = self.adapter.final_norm
        if not norm.has_weight:
            return torch.ones(self.d_model, device=self.device)
        # Upcast first, as such models do: 1 + weight in bfloat16 would lose most of the weight.
        return self.parameter(f"{norm.module}.weight").float() + norm.offset

    def out_norm(self, layer: int) -> str | None:
        """The path of the norm between MLP and stream in `layer`, if there is one."""
        if self.adapter.mlp_out_norm is None:
            return None
        path = self.adapter.mlp_out_norm.format(layer=layer)
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
        return None if name is None else getattr(self.config, name, None)

    def _no_such(self, kind: str, path: str) -> ModelError:
        return ModelError(f"the {self.adapter.family} adapter does not fit {self.model_id}: no {kind} {path}")

    def _require(self, kind: str, name: str, available: list[str]) -> None:
        if name not in available:
            reason = self.adapter.refusals.get(name, "the family has none")
            raise ModelError(f"{self.architecture} has no {kind} {name}: {reason}", f"It has: {', '.join(available)}.")

    def _check_layer(self, layer: int) -> None:
        if not 0 <= layer < self.n_layers:
            raise UsageError(f"there is no layer {layer}", f"Layers are 0 to {self.n_layers - 1}.")
