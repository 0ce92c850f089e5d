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
    """The norm before the LM head. `gain` = its weight + `offset` (Gemma multiplies by 1 + weight).

    `has_weight`: False where it only normalises, as OLMo's does: a gain of 1.
    """

    module: str
    kind: Literal["rms", "layer"]
    offset: float = 0.0
    has_weight: bool = True


@dataclass(frozen=True)
class Requirement:
    """What a config must say for the adapter to be true of the model: `field` is one of `values`, and why.

    `same_as`: or what this other field is.
    """

    field: str
    values: tuple[object, ...]
    reason: str
    same_as: str | None = None


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
class Experts:
    """Where layers that are mixtures of experts have them. A layer without `module` is dense: the adapter's own paths.

    `module`: an experts module of transformers, which tells its layout itself (atlas/live/expert_pass.py).
    `router`: the module that chooses experts for a token; `router_logits`: which of what it returns its logits are.
    `sites`, `weights`: of the MLP that every token passes beside them, where there is one: it is the last expert.
    `shared`: that MLP's module. `shared_gate`: a linear layer whose sigmoid its output is multiplied with.
    `shared_inside`: whether the family's `mlp` module adds the two. `activation`: what gives a unit's activation: the
    config's function times the linear branch, or gpt-oss's clamped form of it. `dense_mlp`: the MLP's module of a layer
    without experts, where it is another than the family's `mlp`. `scales_input`: the router's weight multiplies what an
    expert reads, not what it writes, and the module is given every token for every expert
    (atlas/live/scaled_experts.py).
    """

    module: str
    router: str
    router_logits: int = 0
    shared: str | None = None
    sites: Mapping[str, Tap] = field(default_factory=dict)
    weights: Mapping[str, WeightPlace] = field(default_factory=dict)
    shared_gate: str | None = None
    shared_inside: bool = True
    activation: Literal["config", "clamped_swiglu"] = "config"
    dense_mlp: str | None = None
    scales_input: bool = False


@dataclass(frozen=True)
class Attention:
    """Where a block has its attention: `norm` of the stream that it reads, then linear layers; modules.

    `heads_field`: the config's field that holds how many heads there are; each has as many rows of `query`, `key` and
    `value`, and columns of `output`, one head after the other.
    """

    norm: str
    query: str
    key: str
    value: str
    output: str
    heads_field: str


@dataclass(frozen=True)
class Adapter:
    """One architecture family. Every path but that of the final norm contains `{layer}`.

    What it computes:

    - `base`: the path of the module that reads token ids and ends with the final norm, where the model does not run the
      one that transformers calls its base.
    - `mlp`: the module that reads the normed stream and gives what neurons write together. Where none does, as two
      matrices lie in the block itself or the module adds the stream, `mlp` is the first of these matrices and
      `mlp_end` the second: the one's input, the other's output.
    - `flat`: the block lays the tokens of all texts on one axis before its MLP.
    - `activation_module`: that of the activation function, where it has weights of its own and thus no name that says
      all of it.
    - `mlp_out_norm`: the module of a further norm between MLP and residual stream, where there is one, so that what a
      neuron writes reaches the stream rescaled, and a constant of the MLP's output is none there. It may be missing in
      some checkpoints (an nn.Identity) or some blocks.
    - `block_norm`: the module of the norm that a post-norm block ends with: the stream after the block is this norm of
      the MLP's input plus its output, and so rescaled as well.
    - `write_scale`: an attribute of the block, where that is a number with which what the MLP gives is multiplied
      before it is added to the stream.
    - `recurrent`: whether some blocks keep a state of the tokens before in place of their keys and values, so that a
      pass cannot begin at what another one left behind, with padding in between or edits in one of them.
    - `experts`: where layers that are mixtures of experts have them; None: every layer is one MLP.
    - `final_norm`: None where the last block's output goes into the head as it is.
    - `heads`: of an encoder, what it may have behind its last block; () for a language model, whose LM head follows the
      final norm.
    - `tower`: of a checkpoint with two towers, which of them this is: `text` or `image`.
    - `attention`: where its attention is, which effects through later heads need.
    - `refusals` gives the reason for each site or weight of the tables that the family does not have.

    What its config calls things (a field of None: the family has no such thing):

    - `activation_field`: holds the name of the activation function; where no field does, `activation` is the name.
    - `mlp_bias_field`: true where every matrix of every MLP has a bias; not every model type of a family need have the
      field. None as well where biases are always there.
    - `logit_softcap_field`, `attention_softcap_field`: c of c * tanh(x / c), over the logits and within the attention.
    - `logit_scale_field`, `logit_divisor_field`: a number that the logits are multiplied with, or divided by.
    - `requires`: what it must say, as the model would be another one otherwise.
    - `first_position_after`: holds the number before the position of a text's first token; None: that position is 0.
    - `negative_fields`: hold a negative number where they say that there is none. `unbounded_fields`: hold a list with
      infinity in it where there is no bound.
    - `older_rope` and `older_fields`: names in configs of transformers 4, and further ones that its classes still read.

    What its files call things:

    - `gguf_names`: model type -> the architecture's name in GGUF files and llama.cpp, where they know it.
    - `lm_heads`: the weight of the LM head, as it is called now and then as it was in older checkpoints.
    - `joined`: whether some tensors of its files are put together on loading, as those of experts are.
    - `recomputed`: ends of the names of buffers that old checkpoints hold and the code computes itself.
    - `tokenizers`: transformers' classes, without "Fast", that make its tokenizer of files older than tokenizer.json.
    - `image_processors`: of an image tower, transformers' class that makes pixels with Pillow alone, as it is called
      now and then as it was.
    """

    family: str
    gated: bool
    block: str
    mlp: str
    activation_field: str | None
    final_norm: FinalNorm | None
    sites: Mapping[str, Tap]
    weights: Mapping[str, WeightPlace]
    gguf_names: Mapping[str, str]
    tokenizers: tuple[str, ...]
    base: str | None = None
    activation: str = ""
    activation_module: str | None = None
    mlp_end: str | None = None
    flat: bool = False
    mlp_out_norm: str | None = None
    block_norm: str | None = None
    write_scale: str | None = None
    recurrent: bool = False
    experts: Experts | None = None
    heads: tuple[Head, ...] = ()
    tower: Literal["text", "image"] | None = None
    attention: Attention | None = None
    mlp_bias_field: str | None = None
    logit_softcap_field: str | None = None
    attention_softcap_field: str | None = None
    logit_scale_field: str | None = None
    logit_divisor_field: str | None = None
    requires: tuple[Requirement, ...] = ()
    first_position_after: str | None = None
    negative_fields: tuple[str, ...] = ()
    unbounded_fields: tuple[str, ...] = ()
    lm_heads: tuple[str, ...] = ("lm_head.weight",)
    joined: bool = False
    recomputed: tuple[str, ...] = ()
    older_rope: OlderRope = OlderRope()
    older_fields: tuple[str, ...] = ()
    image_processors: tuple[str, ...] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)
