"""What a spec means for a pass over text: its hooks, and what of the pass it cannot change."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from torch import Tensor

from atlas.live.intervene import intervene
from atlas.live.model import LiveModel
from atlas.spec.document import InterventionSpec

Edits = InterventionSpec | None
"""None: the model as it is."""


class Budget(NamedTuple):
    """`batch_tokens`: padded tokens of a pass. `memory`: bytes for what arms share beside the model."""

    batch_tokens: int = 2048
    memory: int = 10**9


DEFAULT_BUDGET = Budget()


def edited(live: LiveModel, spec: Edits, prompt_lengths: Tensor | int, override_model: bool) -> AbstractContextManager:
    """A context in which passes of the model are edited by `spec`."""
    if spec is None:
        return nullcontext()
    return intervene(live, spec, override_model=override_model, prompt_lengths=prompt_lengths)


def only_the_last_token(spec: Edits) -> bool:
    """Whether `spec` leaves all of a prompt but its last token alone."""
    return spec is None or spec.positions == "last" or spec.phase == "generated"


def first_layer(spec: Edits) -> int:
    """The first block that `spec` changes; 0 for no edits."""
    return 0 if spec is None else min(edit.layer for edit in spec.edits)


def stream_bytes(live: LiveModel, tokens: int) -> int:
    """The size of the residual stream of so many tokens."""
    return tokens * live.d_model * live.dtype.itemsize
