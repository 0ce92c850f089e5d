"""A model's modules and parameters by their paths, wherever their values are: in memory, over devices, or in files."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from atlas.errors import ModelError
from atlas.live.adapters.base import WeightPlace
from atlas.live.described import Described
from atlas.live.stored import Stored
from atlas.live.taps import part_of_axis


class Parameters(Described):
    """A part of `atlas.live.model.LiveModel`, which has these fields."""

    stored: Stored | None
    d_model: int

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
        if self.head.kind == "words":
            if self.words is None:
                raise ModelError(f"{self.model_id} has no words to compare with", "Name a file of them: --words FILE.")
            return self.words.vectors_WE
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

    def weight_at(self, place: WeightPlace, layer: int) -> Tensor:
        """What a family says is at `place`: w_ND [neurons, d_model], a view of the parameter."""
        matrix = self.parameter(place.parameter.format(layer=layer))
        rows_ND = matrix.T if place.neurons_last else matrix
        return rows_ND[part_of_axis(place.part, rows_ND.shape[0])]

    def bias_at(self, place: WeightPlace, layer: int) -> Tensor | None:
        """The bias that belongs to the matrix at `place`, if any."""
        if place.bias is None:
            return None
        owner, _, attribute = place.bias.format(layer=layer).rpartition(".")
        bias = getattr(self.submodule(owner), attribute, None)
        if bias is None:
            return None
        return self._values(f"{owner}.{attribute}", bias)[part_of_axis(place.part, bias.shape[0])]

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
        bare = self.head_kind == "none" and self.tower is None  # a tower keeps its projection, used or not
        return path.removeprefix(f"{self.base_path}.") if bare else path

    def _no_such(self, kind: str, path: str) -> ModelError:
        return ModelError(f"the {self.adapter.family} adapter does not fit {self.model_id}: no {kind} {path}")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        rows_VD = self._tokens()
        return self.stored.device if self.stored is not None and rows_VD.is_meta else rows_VD.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the model computes in."""
        return self._tokens().dtype

    @property
    def base(self) -> nn.Module:
        """The module at `base_path`; it returns `last_hidden_state`, and its cache."""
        return self.submodule(self.base_path) if self.adapter.base else self.model.base_model
