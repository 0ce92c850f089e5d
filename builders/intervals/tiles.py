"""How many neurons intervals are found of at once: more than Gaussians need where each has many values, as what is done
value by value is done for all of them by one instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders.gaussians.layer import MIN_TILE_WIDTH, VALUES_AT_ONCE, tiles
from builders.threads import threads_of

if TYPE_CHECKING:
    import torch

    from builders.build.plan import Plan
    from builders.build.product import Part

_MOST = 1 << 11
"""Values of a neuron up to which a tile of more of them has fewer neurons."""


def wide_tiles(width: int, n_examples: int, n_concepts: int, device: torch.device) -> tuple[int, int]:
    """Neurons in a tile of a layer of `width`, and how many tiles may be worked on at once, of any layers."""
    tile_width, _ = tiles(width, min(n_examples, _MOST), n_concepts, 1, 1, device)
    tile_width = min(tile_width, max(MIN_TILE_WIDTH, VALUES_AT_ONCE // n_examples))
    return tile_width, max(1, VALUES_AT_ONCE // (tile_width * n_examples))


def layers_at_once(plan: Plan, part: Part) -> int:
    """As many as threads, unless that would hold too much."""
    reading, device = part.reading, plan.live.device
    n_threads, widest = threads_of(device), max(map(plan.live.width, plan.config.sites))
    most = wide_tiles(widest, sum(reading.values_of_texts), len(reading.corpus.concepts), device)[1]
    return n_threads if n_threads <= most else 1
