"""LiveModel: a loaded model with names instead of module paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.activations import ACT2FN

from atlas import sites as table
from atlas.errors import ModelError, UsageError
from atlas.live.adapters.base import Adapter, FinalNorm, WeightPlace
from atlas.live.adapters.heads import Head
from atlas.live.expert_layer import DENSE, ExpertLayer, Part, expert_layer
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
    """A language model or an encoder, its tokenizer and its adapter, in eval mode with frozen parameters.

    `fingerprint`, and `weights_fingerprint` of the kind that older files carry, are filled in by
    `atlas.live.loading.load`; see atlas/live/fingerprint.py.
    `add_bos`: whether the tokenizer puts its beginning-of-sequence token before a text by default; of an encoder,
    whether it puts special tokens around one.
    `source`: where it was loaded from. `stored`: what reads the parameters that the model was made without, if any.
    `validated`: whether the adapter was checked by passes of this `model`, or of a small `instance` of its config.
    `head`: what an encoder has behind its last block; None: an LM head.
    `around`: of an encoder, the special tokens before and after a text.
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
    head: Head | None = None
    around: tuple[list[int], list[int]] = ([], [])
    quantised: str | None = None

    n_layers: int = field(init=False)
    d_model: int = field(init=False)
    d_mlp: int = field(init=False)
    d_vocab: int = field(init=False)
    _experts: list[ExpertLayer | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Dims are measured on the weights: config fields may be absent or not mean this.
        self.n_layers = self.config.num_hidden_layers
        self.d_vocab = self._tokens().shape[0]
        self._experts = [expert_layer(self, layer) for layer in range(self.n_layers)]
        # The widest layer: narrower ones leave the last numbers out.
        self.d_mlp = max(self.neurons(layer) for layer in range(self.n_layers))
        first = self._experts[0]
        writes = self.adapter.weights["down_proj"]
        self.d_model = self._shape(writes, 0)[1] if first is None else first.weight("down_proj", 0).shape[1]

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
    def head_kind(self) -> str:
        """`lm`, or of an encoder `mlm`, `classifier` or `none`: what its head gives."""
        return "lm" if self.head is None else self.head.kind

    @property
    def labels(self) -> list[str]:
        """The labels of a classifier, in the order of its outputs."""
        named: dict[int, str] = getattr(self.model.config, "id2label", None) or {}
        return [named[number] for number in range(len(named))]

    @property
    def n_outputs(self) -> int:
        """How many tokens or labels it chooses among."""
        return len(self.labels) if self.head_kind == "classifier" else self.d_vocab

    @property
    def final_norm(self) -> FinalNorm:
        """The norm between the last block and the head. Raises ModelError where there is none."""
        if self.adapter.final_norm is None:
            raise ModelError(f"{self.model_id} has no norm after its last block", "Its family norms within the block.")
        return self.adapter.final_norm

    def require_generation(self, what: str) -> None:
        """Raise ModelError unless the model predicts next tokens, which `what` is about."""
        if self.head is not None:
            kind = {"mlm": "a masked language model", "classifier": "a classifier", "none": "an encoder without a head"}
            raise ModelError(
                f"{what} is about the next token, and {self.model_id} is {kind[self.head.kind]}: it predicts none"
            )

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
        return longest if longest is None or self.head is None else longest - self.first_position

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
        """Whether what the MLP writes is normed, alone or with the stream that it is added to."""
        return self.out_norm(0) is not None or self.adapter.block_norm is not None

    @property
    def mlp_bias_field(self) -> str | None:
        """The config field that would give every matrix of every MLP a bias, if this model's config has one."""
        name = self.adapter.mlp_bias_field
        return name if name is not None and hasattr(self.config, name) else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        rows_VD = self._tokens()
        return self.stored.device if self.stored is not None and rows_VD.is_meta else rows_VD.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the model computes in."""
        return self._tokens().dtype

    def has_fingerprint(self, known: str) -> bool:
        """Whether a file that carries the fingerprint `known`, of either kind, is about this model."""
        return known in (self.fingerprint, self.weights_fingerprint)

    def surrounding(self) -> tuple[list[int], list[int]]:
        """The special tokens that come before and after a text where `add_bos` says that there are some."""
        if not self.add_bos:
            return [], []
        return ([self.tokenizer.bos_token_id], []) if self.head is None else self.around

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
        if bias is None:
            return None
        return self._values(f"{owner}.{attribute}", bias)[part_of_axis(place.part, bias.shape[0])]

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter and stored buffer by name: the model's own, so do not write into them."""
        return dict(self.model.state_dict())

    def unembedding(self) -> Tensor:
        """U [d_vocab, d_model]: the LM head; row t gives the logit of token t.

        Of an encoder [outputs, width]: the head's decoder, a row for each token or label. Raises ModelError where it
        has no head.
        """
        if self.head is None:
            return self.values_in(self.model.get_output_embeddings(), "weight")
        if self.head.kind == "none":
            raise ModelError(
                f"{self.model_id} has no head: it gives states, and neither tokens nor labels",
                "Use the checkpoint with its masked-language-model or classifier head.",
            )
        return self.parameter(self.head.decoder)

    def unembedding_bias(self) -> Tensor | None:
        """The bias of the LM head [d_vocab], if it has one."""
        head = self.model.get_output_embeddings()
        return None if getattr(head, "bias", None) is None else self.values_in(head, "bias")

    def unembedding_rows(self, ids: Tensor) -> Tensor:
        """Rows of U, a copy [len(ids), d_model]: where U is large, some at a time. Without a head: of W_E."""
        if self.head is None:
            rows_VD = self._lm_head()
        else:
            rows_VD = self.embedding() if self.head.kind == "none" else self.unembedding()
        if self.stored is not None and rows_VD.is_meta:
            return self.stored.rows(self._path_of(self.model.get_output_embeddings(), "weight"), ids)
        return rows_VD.index_select(0, ids.to(rows_VD.device))

    def embedding(self) -> Tensor:
        """W_E [V, D]: what tokens are looked up in."""
        return self.values_in(self.model.get_input_embeddings(), "weight")

    def final_norm_gain(self) -> Tensor:
        """g [d_model], float32: what the final norm multiplies each residual dimension with."""
        norm = self.final_norm
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

    def values_in(self, module: nn.Module, name: str) -> Tensor:
        """The parameter `name` of one of the model's modules. Do not write into it."""
        parameter = module.get_parameter(name)
        return parameter if self.stored is None else self._values(self._path_of(module, name), parameter)

    def submodule(self, path: str) -> nn.Module:
        """The module at `path`, or ModelError: the adapter does not describe this model."""
        try:
            return self.model.get_submodule(self._local(path))
        except AttributeError as error:
            raise self._no_such("module", path) from error

    def parameter(self, path: str) -> Tensor:
        """The parameter at `path`, or ModelError: the adapter does not describe this model."""
        try:
            local = self._local(path)
            return self._values(local, self.model.get_parameter(local))
        except AttributeError as error:
            raise self._no_such("parameter", path) from error

    def _shape(self, place: WeightPlace, layer: int) -> tuple[int, int]:
        """(neurons, d_model) of a weight, without its values."""
        path = self._local(place.parameter.format(layer=layer))
        try:
            n_rows, n_columns = self.model.get_parameter(path).shape
        except (AttributeError, ValueError) as error:
            raise self._no_such("matrix", path) from error
        neurons, width = (n_columns, n_rows) if place.neurons_last else (n_rows, n_columns)
        return len(range(neurons)[part_of_axis(place.part, neurons)]), width

    def _lm_head(self) -> Tensor:
        return self.model.get_output_embeddings().weight

    def _path_of(self, module: nn.Module, name: str) -> str:
        return next(f"{path}.{name}" for path, each in self.model.named_modules() if each is module)

    def _values(self, path: str, parameter: Tensor) -> Tensor:
        """The parameter at `path`, on the model's one device; read now where the model does not hold it."""
        if self.stored is None:
            return parameter
        return self.stored.values(path) if parameter.is_meta else parameter.to(self.stored.device)

    def _tokens(self) -> Tensor:
        """A matrix with a row for each token: the LM head, or what an encoder looks them up in."""
        return self._lm_head() if self.head is None else self.embedding()

    def _local(self, path: str) -> str:
        """An adapter's path on this model: one without a head is its base model, and has no prefix."""
        return path.removeprefix(f"{self.base_path}.") if self.head_kind == "none" else path

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
