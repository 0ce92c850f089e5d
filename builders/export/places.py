"""Where the sites are on the model that an export is for: plain data, so that writing code needs no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Place:
    """A site: the `io` of the module at `module` (which contains `{layer}`), part `part` of `parts` of its columns."""

    module: str
    io: Literal["input", "output"]
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class ModelPlaces:
    """`base`: path of the module that reads token ids. `sites`: site name -> Place.

    `reads`: which logits the check is of: those after the last token, at the token `mask`, or of labels. `loaded_by`:
    transformers' class that reads the checkpoint.
    """

    base: str
    sites: Mapping[str, Place]
    reads: Literal["last", "mask", "labels"] = "last"
    mask: int | None = None
    loaded_by: str = "AutoModelForCausalLM"
