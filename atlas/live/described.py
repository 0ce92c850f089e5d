"""What a model's config and its family's adapter say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

from atlas.errors import ModelError
from atlas.live.adapters.base import Adapter, FinalNorm
from atlas.live.adapters.heads import Head

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from atlas.live.network import CausalModel
    from atlas.live.words import Words


class Described:
    """A part of `atlas.live.model.LiveModel`, which has these fields."""

    model: CausalModel
    tokenizer: Any
    adapter: Adapter
    model_id: str
    add_bos: bool
    fingerprint: str
    weights_fingerprint: str
    head: Head | None
    around: tuple[list[int], list[int]]
    d_vocab: int
    words: Words | None

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
        """`lm`, or of an encoder `mlm`, `classifier`, `words` or `none`: what its head gives."""
        return "lm" if self.head is None else self.head.kind

    @property
    def labels(self) -> list[str]:
        """The labels of a classifier, in the order of its outputs; the words of a head of words."""
        if self.words is not None:
            return self.words.names
        named: dict[int, str] = getattr(self.model.config, "id2label", None) or {}
        return [named[number] for number in range(len(named))]

    @property
    def tower(self) -> str | None:
        """Which of a checkpoint's two towers this is: `text` or `image`; None: it has none."""
        return self.adapter.tower

    @property
    def gives_labels(self) -> bool:
        """Whether its head gives labels, or words that a user named, in place of tokens."""
        return self.head_kind in ("classifier", "words")

    @property
    def gives_tokens(self) -> bool:
        """Whether its head gives tokens: a classifier's gives labels, and some encoders have none."""
        return self.head_kind in ("lm", "mlm")

    @property
    def n_outputs(self) -> int:
        """How many tokens or labels it chooses among."""
        return len(self.labels) if self.gives_labels else self.d_vocab

    @property
    def final_norm(self) -> FinalNorm:
        """The norm between the last block and the head. Raises ModelError where there is none."""
        if self.adapter.final_norm is None:
            raise ModelError(f"{self.model_id} has no norm after its last block", "Its family norms within the block.")
        return self.adapter.final_norm

    def require_generation(self, what: str) -> None:
        """Raise ModelError unless the model predicts next tokens, which `what` is about."""
        if self.head is not None:
            kind = {
                "mlm": "a masked language model",
                "classifier": "a classifier",
                "words": f"the {self.tower} tower of a model",
                "none": "an encoder without a head",
            }
            raise ModelError(
                f"{what} is about the next token, and {self.model_id} is {kind[self.head.kind]}: it predicts none"
            )

    @property
    def architecture(self) -> str:
        """The model's class name in transformers."""
        return type(self.model).__name__

    @property
    def reads_text_alone(self) -> bool:
        """Whether transformers loads it by a class of text alone: of causal language models, or of an encoder's head.

        Not so the language model of a checkpoint whose class also sees images.
        """
        if self.head is not None:
            return True
        config = type(self.model.config)
        if config not in MODEL_FOR_CAUSAL_LM_MAPPING:
            return False
        loaded: Any = MODEL_FOR_CAUSAL_LM_MAPPING[config]  # the table says that it holds tuples; it holds classes
        return loaded is type(self.model)

    @property
    def gguf_name(self) -> str | None:
        """The architecture's name in GGUF files and llama.cpp; None where they have none."""
        return self.adapter.gguf_names.get(self.model.config.model_type)

    @property
    def base_path(self) -> str:
        """The path of the module that reads token ids: the model without its LM head."""
        return self.adapter.base or self.model.base_model_prefix

    @property
    def max_positions(self) -> int | None:
        """The longest input that the model was made for, in tokens, if its config says."""
        longest: int | None = self._configured("max_position_embeddings")
        return longest if longest is None or self.head is None else longest - self.first_position

    @property
    def sliding_window(self) -> int | None:
        """How many tokens a layer attends to, where there are layers so limited."""
        window: int | None = self._configured("sliding_window") or self._configured("attention_chunk_size")
        return window

    @property
    def first_position(self) -> int:
        """The position id of a text's first token."""
        before: int | None = self._configured(self.adapter.first_position_after)
        return 0 if before is None else before + 1

    @property
    def experts_per_token(self) -> int:
        """To how many experts of a layer a token goes, where there are experts; else 1."""
        return int(self._configured("num_experts_per_tok") or 1)

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
    def mlp_bias_field(self) -> str | None:
        """The config field that would give every matrix of every MLP a bias, if this model's config has one."""
        name = self.adapter.mlp_bias_field
        return name if name is not None and hasattr(self.config, name) else None

    def has_fingerprint(self, known: str) -> bool:
        """Whether a file that carries the fingerprint `known`, of either kind, is about this model."""
        return known in (self.fingerprint, self.weights_fingerprint)

    def surrounding(self) -> tuple[list[int], list[int]]:
        """The special tokens that come before and after a text where `add_bos` says that there are some."""
        if not self.add_bos:
            return [], []
        return ([self.tokenizer.bos_token_id], []) if self.head is None else self.around

    def _configured(self, name: str | None) -> Any:
        """The value of a config field; None where the config or, with None for a name, the family has no such field."""
        return None if name is None else getattr(self.config, name, None)
