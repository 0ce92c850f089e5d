"""The neurons that are farthest out at each token of texts, by a live model.

Axes: N neurons, S tokens of a batch that count, K the most that a token keeps, C the candidates of all places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from atlas.errors import ModelError, UsageError
from atlas.live.batching import Batch, batches, counted_mask, encode_counted
from atlas.live.capture import capture
from atlas.live.expert_pass import Routed
from atlas.live.model import LiveModel
from builders.fires.best import Best, Spread, best

MOST_ROWS = 500_000


class Fired(NamedTuple):
    """A neuron at a token. `text`, `rank`: from 1. `position`: of the token as the model reads the text, from 0.

    `percentile`: 0 to 100. `beyond`: standard deviations above the largest stored value, negative below the smallest;
    None between them.
    """

    text: int
    position: int
    token_id: int
    rank: int
    site: str
    layer: int
    neuron: int
    value: float
    percentile: float
    beyond: float | None


def rank(
    live: LiveModel,
    spreads: Mapping[tuple[str, int], Spread],
    texts: Sequence[str],
    *,
    top: int,
    by: str,
    max_tokens: int,
    batch_tokens: int,
) -> tuple[list[Fired], int]:
    """The `top` neurons of each token of each text that is not special, in order; and how many texts were cut.

    `spreads`: by site and layer, those that are looked at. Equal ones: the lower layer, then the site that comes first
    in `spreads`, then the lower neuron. Raises UsageError for more than MOST_ROWS answers, ModelError for activations
    that are no numbers, and what `encode_counted` and `batches` raise.
    """
    encoded, counted = encode_counted(live, texts, "{text}", max_tokens, "prompt")
    n_rows = top * sum(map(sum, counted))
    if n_rows > MOST_ROWS:
        raise UsageError(f"{top} neurons for each token are {n_rows} rows", "Give fewer texts, or a smaller --top.")
    found: dict[int, list[Fired]] = {}
    for batch in batches(encoded.input_ids, max(batch_tokens, *map(len, encoded.input_ids))):
        mask_BT = counted_mask(batch, counted)
        ranked = _of_batch(live, spreads, batch, mask_BT, top, by)
        for (row, position), neurons in zip(mask_BT.nonzero().tolist(), ranked, strict=True):
            text = batch.indices[row]
            token_id = encoded.input_ids[text][position]
            rows = [Fired(text + 1, position, token_id, at + 1, *each) for at, each in enumerate(neurons)]
            found.setdefault(text, []).extend(rows)
    return [row for text in sorted(found) for row in found[text]], encoded.n_cut


def _of_batch(
    live: LiveModel, spreads: Mapping[tuple[str, int], Spread], batch: Batch, mask_BT: Tensor, top: int, by: str
) -> list[list[tuple[str, int, int, float, float, float | None]]]:
    """For each token that counts: (site, layer, neuron, value, percentile, beyond), farthest out first."""
    found: dict[tuple[str, int], Best] = {}
    highest = _Highest(top)
    counts_BT = mask_BT.to(live.device)
    counts_P = counts_BT.reshape(-1)
    slot_P = counts_P.cumsum(0) - 1

    def best_of(acts_NS: Tensor, place: tuple[str, int], first: int, floor_S: Tensor | None = None) -> Best:
        # A sum is not finite if a term is not; that of finite ones overflows only for values that need the second look.
        if not bool(torch.isfinite(acts_NS.sum()) or torch.isfinite(acts_NS).all()):
            raise ModelError(f"{live.model_id} gives activations that are no finite numbers", "Try --dtype float32.")
        of_part = best(acts_NS, spreads[place].part(first, len(acts_NS)), top, by, floor_S)
        return of_part._replace(neuron=of_part.neuron + first)

    def keep(site: str, layer: int, acts_BTN: Tensor) -> None:
        if (site, layer) in spreads:
            here = best_of(acts_BTN[counts_BT].float().T, (site, layer), 0, highest.floor())
            highest.add(here.key)
            found[site, layer] = here

    def keep_routed(site: str, layer: int, routed: Routed) -> None:
        counted_R = counts_P[routed.tokens_R]
        if (site, layer) not in spreads or not bool(counted_R.any()):
            return
        first = live.parts(layer)[routed.expert].first_neuron
        of_expert = best_of(routed.acts_RN[counted_R].float().T, (site, layer), first)
        slots = slot_P[routed.tokens_R[counted_R]]
        found[site, layer] = _with_some(found.get((site, layer)), of_expert, slots, int(counts_P.sum()), top)

    sites = list(dict.fromkeys(site for site, _ in spreads))
    layers = [layer for _, layer in spreads]
    capture(live, batch.input_ids, batch.attention_mask, sites, layers, keep, keep_routed)
    # Places come in the order of the forward pass, which is that of layers; those of one layer in that of `spreads`.
    places = sorted(found, key=lambda place: (place[1], sites.index(place[0])))
    if not places:  # no token that counts
        return []
    kept = [found[place] for place in places]
    key_SC, neuron_SC, value_SC, share_SC, beyond_SC = (
        torch.cat(columns, dim=1).cpu() for columns in zip(*kept, strict=True)
    )
    of_place = torch.cat([torch.full((each.key.shape[1],), at) for at, each in enumerate(kept)])
    chosen_SK = key_SC.sort(dim=1, descending=True, stable=True).indices[:, :top]
    picked = [each.gather(1, chosen_SK).tolist() for each in (key_SC, neuron_SC, value_SC, share_SC, beyond_SC)]
    ranked: list[list[tuple[str, int, int, float, float, float | None]]] = []
    for at_K, *columns in zip(of_place[chosen_SK].tolist(), *picked, strict=True):
        ranked.append(
            [
                (*places[at], neuron, value, 100 * share, beyond or None)
                for at, key, neuron, value, share, beyond in zip(at_K, *columns, strict=True)
                if key > -math.inf  # that of a neuron out of its bounds
            ]
        )
    return ranked


class _Highest:
    """The highest keys of each token over the places so far."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._key_SK: Tensor | None = None

    def add(self, key_SK: Tensor) -> None:
        """Take those of a place."""
        if self._key_SK is not None:
            key_SK = torch.cat([self._key_SK, key_SK], dim=1)
        self._key_SK = key_SK.topk(min(self._top, key_SK.shape[1]), dim=1).values

    def floor(self) -> Tensor | None:
        """[S]: below it nothing comes into the answer. None where a token has too few yet."""
        if self._key_SK is None or self._key_SK.shape[1] < self._top:
            return None
        return self._key_SK[:, -1]


def _with_some(whole: Best | None, some: Best, slots_s: Tensor, n_slots: int, top: int) -> Best:
    """The best of a place with `some` of one more expert, which has some of the S tokens, `slots_s`."""
    columns = []
    for name, values_sK in some._asdict().items():
        nothing = -torch.inf if name == "key" else 0
        values_SK = values_sK.new_full((n_slots, values_sK.shape[1]), nothing)
        values_SK[slots_s] = values_sK
        columns.append(values_SK if whole is None else torch.cat([getattr(whole, name), values_SK], dim=1))
    joined = Best(*columns)
    # Experts may come in any order: of equal ones the lower neuron.
    by_neuron_SK = joined.neuron.argsort(dim=1, stable=True)
    key_SK = joined.key.gather(1, by_neuron_SK)
    chosen_SK = by_neuron_SK.gather(1, key_SK.argsort(dim=1, descending=True, stable=True))[:, :top]
    return Best(*(column.gather(1, chosen_SK) for column in joined))
