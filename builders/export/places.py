"""Where the sites are on the model that an export is for: plain data, so that writing code needs no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Place:
    """A site: the `io` of the module at `module` (which contains `{layer}`), part `part` of `parts` of its columns."""

    module: str
    io: Literal["input", "output"]
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class ExpertPlace:
    """The experts of a layer: the module, units of each, and the shared one's first neuron and units, 0 without one.

    `router`: where it scales what experts read, so that transformers does not run them by its table; else None.
    """

    module: str
    width: int
    first_shared: int
    shared_width: int
    router: str | None = None


@dataclass(frozen=True)
class ModelPlaces:
    """`base`: path of the module that reads token ids. `sites`: site name -> Place.

    `experts`: layer -> its experts, of layers that have some; `shared`: site name -> Place of the shared MLP there.
    `narrow`: layer -> neurons, of layers with fewer than d_mlp.
    `reads`: which logits the check is of: those after the last token, at the token `mask`, or of labels. `loaded_by`:
    transformers' class that reads the checkpoint.
    """

    base: str
    sites: Mapping[str, Place]
    experts: Mapping[int, ExpertPlace] = field(default_factory=dict)
    shared: Mapping[str, Place] = field(default_factory=dict)
    narrow: Mapping[int, int] = field(default_factory=dict)
    reads: Literal["last", "mask", "labels"] = "last"
    mask: int | None = None
    loaded_by: str = "AutoModelForCausalLM"
