"""Which neurons graphs are made of: what `--graphs` says, in the dims of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence

from atlas.errors import UsageError
from atlas.sites import parse_neuron

_LAYER = re.compile(r"layer:(0|[1-9][0-9]{0,5})")


def chosen(items: Sequence[str], n_layers: int, width: int) -> list[tuple[int, int]]:
    """(layer, neuron) of each, ascending, each once. Raises UsageError for an item that names none of the model."""
    found = set()
    for item in items:
        match = _LAYER.fullmatch(item)
        if match is None and item.startswith("layer:"):
            raise UsageError(f"{item!r} is no layer", "Write layer:29.")
        layer, neuron = (int(match[1]), None) if match else parse_neuron(item)
        if layer >= n_layers:
            raise UsageError(f"the model has layers 0 to {n_layers - 1}, not {layer}", "Correct --graphs.")
        if neuron is not None and neuron >= width:
            raise UsageError(f"layer {layer} has neurons 0 to {width - 1}, not {neuron}", "Correct --graphs.")
        found |= {(layer, each) for each in (range(width) if neuron is None else (neuron,))}
    return sorted(found)
