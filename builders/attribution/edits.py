"""Specs that set neurons of a live model, as attributions and their checks are measured and written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from atlas.live.direct import SITE
from atlas.live.model import LiveModel
from atlas.spec.document import Edit, InterventionSpec, Tokenization
from atlas.spec.fields import reference_to

Neuron = tuple[int, int]
"""(layer, neuron)."""


def spec_of(
    live: LiveModel,
    neurons: Iterable[Neuron],
    *,
    op: str = "set",
    value: float = 0.0,
    site: str = SITE,
    positions: str | tuple[int, ...] = "last",
    add_bos: bool | None = None,
    source: dict[str, Any] | None = None,
) -> InterventionSpec:
    """The same edit of every neuron, at `positions` (atlas/spec/fields.py). `add_bos`: None as the tokenizer does."""
    return InterventionSpec(
        model=reference_to(live),
        tokenization=Tokenization(add_bos=live.add_bos if add_bos is None else add_bos, chat_template=False),
        positions=positions,
        edits=tuple(Edit(site, layer, neuron, op, value) for layer, neuron in neurons),
        source=source or {},
    )
