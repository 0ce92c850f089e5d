"""LiveModel: a loaded model with names instead of module paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from atlas import sites as table
from atlas.errors import ModelError, UsageError
from atlas.live.adapters.base import Adapter, FinalNorm, WeightPlace
from atlas.live.adapters.heads import Head
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
    """A language model or an encoder, its tokenizer and its adapter, in eval mode with frozen parameters.

    `fingerprint` is filled in by `atlas.live.loading.load`; see atlas/live/fingerprint.py.
    `add_bos`: whether the tokenizer puts its beginning-of-sequence token before a text by default; of an encoder,
    whether it puts special tokens around one.
    `source`: where it was loaded from. `head`: what an encoder has behind its last block; None: an LM head.
    `around`: of an encoder, the special tokens before and after a text.
    """

    model: CausalModel
    tokenizer: Any
    adapter: Adapter
    model_id: str
    add_bos: bool
    fingerprint: str = ""
    source: Source | None = None
    head: Head | None = None
    around: tuple[list[int], list[int]] = ([], [])

    n_layers: int = field(init=False)
    d_model: int = field(init=False)
    d_mlp: int = field(init=False)
    d_vocab: int = field(init=False)

    def __post_init__(self) -> None:
        # Dims are measured on the weights: config fields may be absent or not mean this.
        self.n_layers = self.model.config.num_hidden_layers
        self.d_vocab = self._tokens().shape[0]
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
    def mlp_bias_field(self) -> str | None:
        """The config field that would give every matrix of every MLP a bias, if this model's config has one."""
        name = self.adapter.mlp_bias_field
        return name if name is not None and hasattr(self.model.config, name) else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._tokens().device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the model computes in."""
        return self._tokens().dtype

    def surrounding(self) -> tuple[list[int], list[int]]:
        """The special tokens that come before and after a text where `add_bos` says that there are some."""
        if not self.add_bos:
            return [], []
        return ([self.tokenizer.bos_token_id], []) if self.head is None else self.around

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
        return ResolvedTap(site, layer, path, self.submodule(path), place.io, place.part)

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
        """U [d_vocab, d_model]: the LM head; row t gives the logit of token t.

        Of an encoder [outputs, width]: the head's decoder, a row for each token or label. Raises ModelError where it
        has no head.
        """
        if self.head is None:
            return self.model.get_output_embeddings().weight
        if self.head.kind == "none":
            raise ModelError(
                f"{self.model_id} has no head: it gives states, and neither tokens nor labels",
                "Use the checkpoint with its masked-language-model or classifier head.",
            )
        return self.parameter(self.head.decoder)

    def embedding(self) -> Tensor:
        """W_E [V, D]: what tokens are looked up in."""
        return self.model.get_input_embeddings().weight

    def final_norm_gain(self) -> Tensor:
        """g [d_model], float32: what the final norm multiplies each residual dimension with."""
        norm = self.final_norm
        # Upcast first, as such models do: 1 + weight in bfloat16 would lose most of the weight.
        return self.parameter(f"{norm.module}.weight").float() + norm.offset

    def submodule(self, path: str) -> nn.Module:
        """The module at `path`, or ModelError: the adapter does not describe this model."""
        try:
            return self.model.get_submodule(self._local(path))
        except AttributeError as error:
            raise self._no_such("module", path) from error

    def parameter(self, path: str) -> Tensor:
        """The parameter at `path`, or ModelError: the adapter does not describe this model."""
        try:
            return self.model.get_parameter(self._local(path))
        except AttributeError as error:
            raise self._no_such("parameter", path) from error

    def _tokens(self) -> Tensor:
        """Rows of tokens: the LM head, or what an encoder, which may have none, looks them up in."""
        return self.unembedding() if self.head is None else self.embedding()

    def _local(self, path: str) -> str:
        """An adapter's path on this model: one without a head is its base model, and has no prefix."""
        return path.removeprefix(f"{self.base_path}.") if self.head_kind == "none" else path

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
