"""What a family file declares: where each site and weight of the table in atlas/sites.py is on a model.

An adapter is data: module and parameter paths with a `{layer}` field, and a few flags. It holds no code, so
nothing can go wrong in it that validation (atlas/live/validation.py) does not see on the loaded model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from atlas.live.adapters.heads import Head


@dataclass(frozen=True)
class Part:
    """One of `count` equal parts of a fused axis: part 0 of 2 is its first half."""

    index: int
    count: int


@dataclass(frozen=True)
class Tap:
    """A site on a family: the input or the output of the module at `module`, or a part of its last axis."""

    module: str
    io: Literal["input", "output"]
    part: Part | None = None


@dataclass(frozen=True)
class WeightPlace:
    """A weight on a family.

    `parameter`: path of the matrix. `neurons_last`: True when neurons are its columns ([d_model, d_mlp]),
    False when they are its rows ([d_mlp, d_model]). `part`: which part of the neuron axis, when fused.
    `bias`: path of the bias belonging to the matrix; it may be absent on a given checkpoint.
    """

    parameter: str
    neurons_last: bool = False
    part: Part | None = None
    bias: str | None = None


@dataclass(frozen=True)
class FinalNorm:
    """The norm before the LM head. `gain` = its weight + `offset` (Gemma multiplies by 1 + weight)."""

    module: str
    kind: Literal["rms", "layer"]
    offset: float = 0.0


@dataclass(frozen=True)
class OlderRope:
    """What transformers 4 calls the rotary settings of a config, which version 5 gathers in `rope_parameters`.

    `theta`: the base. `share`: how much of a head is rotated, with `default_share` where a config does not say (None:
    the field is not needed then). `local_theta`: the base of layers that attend to a window, where they have their own.
    """

    theta: str = "rope_theta"
    share: str = "partial_rotary_factor"
    default_share: float | None = None
    local_theta: str | None = None


@dataclass(frozen=True)
class Adapter:
    """One architecture family. `block`, `mlp`, `mlp_out_norm`, `sites` and `weights` paths contain `{layer}`.

    What it computes:

    - `mlp`: the MLP's module; where it is in several, the one whose input is the MLP's, and `mlp_end` the one whose
      output is.
    - `mlp_out_norm`: the module of a further norm between MLP and residual stream, where there is one, so that what a
      neuron writes reaches the stream rescaled, and a constant of the MLP's output is none there.
    - `block_norm`: the module of the norm that a post-norm block ends with: the stream after the block is this norm of
      the MLP's input plus its output, and so rescaled as well.
    - `final_norm`: None where the last block's output goes into the head as it is.
    - `heads`: of an encoder, what it may have behind its last block; () for a language model, whose LM head follows the
      final norm.
    - `unsupported`: fields of a config that change what is computed in a way that nothing here describes, with the
      reason: a checkpoint where one is set is refused.
    - `refusals` gives the reason for each site or weight of the tables that the family does not have.

    What its config calls things (a field of None: the family has no such thing):

    - `activation_field`: holds the name of the activation function.
    - `mlp_bias_field`: true where every matrix of every MLP has a bias; not every model type of a family need have the
      field. None as well where biases are always there.
    - `logit_softcap_field`, `attention_softcap_field`: c of c * tanh(x / c), over the logits and within the attention.
    - `first_position_after`: holds the number before the position of a text's first token; None: that position is 0.
    - `negative_fields`: hold a negative number where they say that there is none.
    - `older_rope` and `older_fields`: names in configs of transformers 4, and further ones that its classes still read.

    What its files call things:

    - `gguf_names`: model type -> the architecture's name in GGUF files and llama.cpp.
    - `lm_heads`: the weight of the LM head, as it is called now and then as it was in older checkpoints.
    - `recomputed`: ends of the names of buffers that old checkpoints hold and the code computes itself.
    - `tokenizers`: transformers' classes, without "Fast", that make its tokenizer of files older than tokenizer.json.
    """

    family: str
    gated: bool
    block: str
    mlp: str
    activation_field: str
    final_norm: FinalNorm | None
    sites: Mapping[str, Tap]
    weights: Mapping[str, WeightPlace]
    gguf_names: Mapping[str, str]
    tokenizers: tuple[str, ...]
    mlp_end: str | None = None
    mlp_out_norm: str | None = None
    block_norm: str | None = None
    heads: tuple[Head, ...] = ()
    mlp_bias_field: str | None = None
    logit_softcap_field: str | None = None
    attention_softcap_field: str | None = None
    first_position_after: str | None = None
    negative_fields: tuple[str, ...] = ()
    lm_heads: tuple[str, ...] = ("lm_head.weight",)
    recomputed: tuple[str, ...] = ()
    older_rope: OlderRope = OlderRope()
    older_fields: tuple[str, ...] = ()
    unsupported: Mapping[str, str] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)

    @property
    def norm_after_mlp(self) -> bool:
        """Whether what the MLP writes is normed, alone or with the stream that it is added to."""
        return self.mlp_out_norm is not None or self.block_norm is not None
