"""The type of the networks that we load: for type checkers only, as transformers leaves it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

    from torch import nn
    from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel

    class CausalModel(PreTrainedModel, GenerationMixin):
        """The causal language models of transformers: what they have in common, with the types that it leaves out."""

        def get_output_embeddings(self) -> nn.Linear: ...

        def get_input_embeddings(self) -> nn.Embedding: ...

        def eval(self) -> Self: ...

        @classmethod
        def _from_config(cls, config: PretrainedConfig, **kwargs: Any) -> Self: ...

        def to(self, *args: Any, **kwargs: Any) -> Self: ...  # type: ignore[override]  # its decorator hides `self`
