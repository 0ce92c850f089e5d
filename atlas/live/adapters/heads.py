"""What an encoder has behind its last block, where a language model has its LM head: as data, like the adapters.

Every supported head is decoder(norm(activation(dense(x)))), the norm left out where there is none: a masked language
model's reads the state of each token, a classifier's the state of one token of a text, or their mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Head:
    """One kind of head of a family. Paths are of modules, but `decoder` and `bias`, which are of parameters.

    - `kind`: `mlm` gives the tokens at each place, `classifier` the labels of a text, `words` a vector that is compared
      with those of words that a user names, `none` the states themselves.
    - `classes`: transformers' classes that are saved with this head, as a config's `architectures` calls them; the
      first of them is loaded.
    - `decoder`: [outputs, width], a row for each token or label. `bias`: what is added to its outputs. A head of words
      has neither: its rows are the words' vectors.
    - `dense`, `norm`: what stands before it, and `activation` between these two: a name in transformers' ACT2FN, or
      `activation_field` that of the config's field that holds one.
    - `pooling_field`: the config's field that says whether a classifier reads `cls`, a text's first token, or `mean`;
      None: the first token.
    - `reads`: whether a head of words reads a text's `first` token or its `last`.
    - `output`: what the model's output calls what it gives.
    - `spare`: ends of the names of tensors that checkpoints hold beside it, of heads that pretraining had.
    """

    kind: Literal["mlm", "classifier", "words", "none"]
    classes: tuple[str, ...]
    decoder: str = ""
    bias: str | None = None
    dense: str = ""
    activation: str | None = None
    activation_field: str | None = None
    norm: str | None = None
    pooling_field: str | None = None
    reads: Literal["first", "last"] = "first"
    output: str = "logits"
    spare: tuple[str, ...] = ()

    @property
    def own_tensor(self) -> str:
        """The name of a tensor that a checkpoint has only with this head; a masked LM's decoder may be tied."""
        return self.decoder if self.kind == "classifier" else f"{self.dense}.weight"
