"""One forward pass over a labelled corpus: every wanted activation, pooled per example, into the scratch files.

Held in memory at any time: one layer's activations of one batch, batch_tokens x width values, and their pooled
rows. On disk, or on the GPU: rows x layers x sum of widths x 4 bytes (docs/methods.md, "What a build holds").
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.errors import BuildError
from atlas.live.batching import Batch, Counted, batches, counted_mask
from atlas.live.capture import ROUTER, capture
from atlas.live.expert_pass import Routed
from atlas.live.pooling import pool, pool_routed
from atlas.store.staging import Staging
from builders.activations.routed import RoutedScratch
from builders.activations.scratch import DeviceScratch, Scratch

if TYPE_CHECKING:
    from atlas.live.model import LiveModel

_NOTE_EVERY = 2.0  # seconds between notes of progress: what a kill can cost


@dataclass(frozen=True)
class Rows:
    """The order of the scratch rows: the label and the text of each row, and how many rows come from each batch."""

    labels_R: np.ndarray
    """int64."""
    examples_R: np.ndarray
    """int64: index in the list of texts."""
    per_batch: list[int]


def plan_rows(
    encoded: Sequence[Sequence[int]],
    plan: Sequence[Batch],
    labels: Sequence[int],
    position: str,
    counted: Counted | None = None,
) -> Rows:
    """Rows in batch order: one per example, or one per token that counts at position `all`."""
    lengths = list(map(len, encoded) if counted is None else map(sum, counted))
    parts, per_batch = [], []
    for batch in plan:
        repeats = [lengths[index] if position == "all" else 1 for index in batch.indices]
        parts.append(np.repeat(np.asarray(batch.indices, dtype=np.int64), repeats))
        per_batch.append(int(sum(repeats)))
    examples_R = np.concatenate(parts)
    return Rows(np.asarray(labels, dtype=np.int64)[examples_R], examples_R, per_batch)


def shared_name(site: str) -> str:
    """What the scratch calls a site of the shared MLP of a layer with experts."""
    return f"{site}.shared"


def dense_sizes(live: LiveModel, sites: Sequence[str], layers: Sequence[int]) -> dict[tuple[str, int], int]:
    """The width of everything that each text has as many rows of as any other, by site and layer."""
    sizes = {}
    for layer in layers:
        experts = live.experts(layer)
        for site in sites:
            if experts is None or site not in live.neuron_sites():
                sizes[site, layer] = live.width(site, layer)
            else:
                sizes |= {(ROUTER, layer): experts.n_routed}
                sizes |= {(shared_name(site), layer): experts.shared_width} if experts.shared_width else {}
    return sizes


def routed_widths(live: LiveModel, sites: Sequence[str], layers: Sequence[int]) -> dict[tuple[str, int], int]:
    """The width of an expert, by site and layer, where only some tokens are routed to it."""
    layers_with = {layer: experts for layer in layers if (experts := live.experts(layer)) is not None}
    return {
        (site, layer): experts.width
        for site in sites
        if site in live.neuron_sites()
        for layer, experts in layers_with.items()
    }


def record(
    live: LiveModel,
    staging: Staging,
    scratch: Scratch | DeviceScratch,
    routed_scratch: RoutedScratch,
    key: str,
    encoded: Sequence[Sequence[int]],
    labels: Sequence[int],
    *,
    sites: Sequence[str],
    layers: Sequence[int],
    position: str,
    batch_tokens: int,
    counted: Counted | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> Rows:
    """Fill both scratches from the model and return the order of its rows; continues where a killed run stopped.

    `key` names this corpus in the staging area. Batches are a function of the corpus and `batch_tokens` alone,
    so a resumed run repeats the very same forward passes. `counted`: which tokens are pooled; None: all.
    `advance(examples)` reports progress.
    """
    plan = list(batches(encoded, batch_tokens))
    rows = plan_rows(encoded, plan, labels, position, counted)
    sizes, widths = dense_sizes(live, sites, layers), routed_widths(live, sites, layers)
    scratch.prepare(sizes, len(rows.labels_R))
    state = json.loads(staging.read_state(key) or '{"batches": 0}')
    finished = state["batches"] if scratch.survives else 0
    scratch.truncate(sizes, sum(rows.per_batch[:finished]))
    for (site, layer), width in widths.items():
        routed_scratch.truncate(site, layer, width, finished)
    advance(sum(len(batch.indices) for batch in plan[:finished]))
    noted = time.monotonic()
    passing = Pass(live, sites, layers, position, counted)
    for index in range(finished, len(plan)):
        passing.run(plan[index], index, scratch, routed_scratch)
        advance(len(plan[index].indices))
        if time.monotonic() - noted > _NOTE_EVERY or index == len(plan) - 1:
            staging.write_state(key, json.dumps({"batches": index + 1}))
            noted = time.monotonic()
    return rows


@dataclass(frozen=True)
class Pass:
    """What is kept of a forward pass. `counted`: which tokens are pooled; None: all."""

    live: LiveModel
    sites: Sequence[str]
    layers: Sequence[int]
    position: str
    counted: Counted | None

    def run(self, batch: Batch, index: int, scratch: Scratch | DeviceScratch, routed_scratch: RoutedScratch) -> None:
        """Add one batch, number `index` of the corpus, to both scratches. BuildError where memory is too small."""
        live, position = self.live, self.position
        mask = batch.attention_mask.to(live.device)
        pooled = mask if self.counted is None else counted_mask(batch, self.counted).to(live.device)

        def keep(site: str, layer: int, acts_BTN) -> None:
            scratch.append(site, layer, pool(acts_BTN, pooled, position))

        def keep_routed(site: str, layer: int, routed: Routed) -> None:
            experts = live.experts(layer)
            if routed.expert == experts.n_routed:  # every token passes it
                shape = (*pooled.shape, routed.acts_RN.shape[1])
                scratch.append(shared_name(site), layer, pool(routed.acts_RN.view(shape), pooled, position))
                return
            texts_B = np.asarray(batch.indices, dtype=np.int64)
            found = pool_routed(routed, pooled, position)
            routed_scratch.append(site, layer, index, routed.expert, texts_B, found)

        wanted = [*self.sites, *([ROUTER] if routed_widths(live, self.sites, self.layers) else [])]
        try:
            capture(live, batch.input_ids.to(live.device), mask, wanted, list(self.layers), keep, keep_routed)
        except torch.OutOfMemoryError as error:
            raise BuildError(
                f"the {live.device} has too little memory for {batch.input_ids.numel()} tokens at once",
                "Lower --batch-tokens and use --restart.",
            ) from error
