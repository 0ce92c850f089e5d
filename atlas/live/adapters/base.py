"""What a family file declares: where each site and weight of the table in atlas/sites.py is on a model.

An adapter is data: module and parameter paths with a `{layer}` field, and a few flags. It holds no code, so
nothing can go wrong in it that validation (atlas/live/validation.py) does not see on the loaded model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


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
class Adapter:
    """One architecture family. `block`, `mlp`, `sites` and `weights` paths contain `{layer}`.

    `activation_field` names the config field that holds the activation function's name.
    `refusals` gives the reason for each site or weight of the tables that the family does not have.
    """

    family: str
    gated: bool
    block: str
    mlp: str
    activation_field: str
    final_norm: FinalNorm
    sites: Mapping[str, Tap]
    weights: Mapping[str, WeightPlace]
    refusals: Mapping[str, str] = field(default_factory=dict)
