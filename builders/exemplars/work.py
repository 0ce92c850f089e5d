"""The units of the product: shards of texts, then places, then the texts that exemplars are of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from atlas.errors import BuildError
from atlas.live.batching import batches
from atlas.live.capture import capture
from atlas.live.devices import DEVICE_MAP
from atlas.live.expert_layer import DENSE, ROUTED, Part
from atlas.live.expert_pass import Routed
from atlas.live.twins import twin
from atlas.schema.exemplar_tables import (
    EXEMPLAR_TABLES,
    NOTED_COMPARED,
    NOTED_EXEMPLARS,
    NOTED_FIRING,
    NOTED_TEXTS,
)
from builders.arrow import rows_of
from builders.build.product import Activations, Noted, Place, Tables, Work
from builders.exemplars.chosen import exemplar_rows
from builders.exemplars.correlated import correlated
from builders.exemplars.draws import hashes_of_texts
from builders.exemplars.masks import negative
from builders.exemplars.place import PlaceState
from builders.exemplars.routed import Marks, seen_by_expert
from builders.exemplars.rows import (
    at_neurons,
    at_place,
    compared_of,
    correlated_rows,
    firing_rows,
    noted_compared,
    noted_firing,
    noted_lists,
)
from builders.exemplars.seen import AtPlace, Batch, Seen
from builders.threads import go_on, threads_of

if TYPE_CHECKING:
    from atlas.live.model import LiveModel
    from builders.build.plan import Plan
    from builders.exemplars.running_text import RunningText

GATED_SITE, BRANCHES = "mlp_post", ("mlp_pre", "mlp_pre_linear")
"""Where quadrants are of, and the sites of the two branches whose signs they go by."""
_OF_ONE_SIGN = ("silu", "swish", "relu", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu")
"""Activation functions that keep the sign of what they are given."""


_AT_ONCE = 2
"""Shards, each by its share of the threads: of what is done with activations little can be divided."""
_BYTES_OF_NEURON = 6000
"""What lists and sums of a neuron at a site take, in each thread."""


class _Own(threading.local):
    """What a thread that reads shards has for itself: its lists, and the modules that its passes go through."""

    def __init__(self, live: LiveModel, *, alone: bool) -> None:
        self._live, self._alone = live, alone
        self.states: dict[tuple[Place, int], PlaceState] = {}
        """By place and expert; of those only that tokens were routed to."""

    @cached_property
    def live(self) -> LiveModel:
        """The model of the plan, or where other threads use it too one of its tensors."""
        return self._live if self._alone else twin(self._live)


def at_once(plan: Plan) -> int:
    """How many threads read a shard each; 0: shard after shard, each by all threads."""
    live, config, texts = plan.live, plan.config, plan.running_text
    assert texts is not None
    plain = not live.has_experts and live.images is None and not config.device.startswith(DEVICE_MAP)
    held = _AT_ONCE * _BYTES_OF_NEURON * sum(live.width(site, layer) for site, layer in plan.places)
    fits = held <= config.memory // 3
    return _AT_ONCE if plain and fits and min(len(texts.shards), threads_of(live.device)) >= _AT_ONCE else 0


class FindExemplars(Work):
    """Reads shards in any order; what a thread has seen only spares it texts that come into no list at the end."""

    def __init__(self, plan: Plan, texts: RunningText) -> None:
        self.plan, self.texts = plan, texts
        live = plan.live
        clamped = live.adapter.experts is not None and live.adapter.experts.activation != "config"
        self.gated = live.gated and live.hidden_act in _OF_ONE_SIGN and not clamped
        self.places = plan.places
        self.parts = {place: _parts(live, place) for place in self.places}
        self._own = _Own(live, alone=not at_once(plan))

    @property
    def states(self) -> dict[tuple[Place, int], PlaceState]:
        """Those of this thread."""
        return self._own.states

    def run(self, unit: str, activations: Activations | None = None) -> Tables:
        """What a shard adds to the lists of each place, and its sums."""
        shard = int(unit.rpartition("/")[2])
        self.begin()
        for batch, input_ids, mask in self.batches(shard):
            self.read(batch, input_ids, mask)
        return self.noted(shard)

    def begin(self) -> None:
        """A shard begins."""
        for state in self.states.values():
            state.begin()

    def noted(self, shard: int) -> Tables:
        """What the shard that was read adds."""
        texts = self.texts.shards[shard]
        found = [
            (self.places.index(place), state)
            for (place, _), state in sorted(
                self.states.items(), key=lambda each: (self.places.index(each[0][0]), each[0][1])
            )
        ]
        lists = [noted_lists(state, index, shard, texts) for index, state in found]
        sums = [noted_firing(state.tally, index, shard, state.first_neuron) for index, state in found]
        compared = [noted_compared(state, index, shard) for index, state in found if state.compares]
        rows = {NOTED_EXEMPLARS.name: pa.concat_tables(lists), NOTED_FIRING.name: pa.concat_tables(sums)}
        return rows | ({NOTED_COMPARED.name: pa.concat_tables(compared)} if compared else {})

    def run_last(self, unit: str, noted: Noted, read: Callable[[Place], Activations]) -> Tables:
        """All shards of one place; what is alike over the layers of a site; and at the end the texts of all places."""
        kind, *names = unit.split("/")
        if kind == "texts":
            return self._text_rows(np.unique(noted(NOTED_TEXTS.name)["text_id"].to_numpy()))
        if kind == "correlated":
            return self._correlated(names[0], noted(NOTED_COMPARED.name))
        site, layer = names
        index = self.places.index(Place(site, int(layer)))
        rows, used = exemplar_rows(at_place(noted(NOTED_EXEMPLARS.name), index), site, int(layer))
        firing = at_place(noted(NOTED_FIRING.name), index)
        return {
            "_exemplar": rows,
            "_firing": pa.concat_tables(
                firing_rows(
                    at_neurons(firing, part.first_neuron, part.neurons),
                    *(site, int(layer), self._has_quadrants(site)),
                    part.first_neuron,
                    routed=part.kind == ROUTED,
                )
                for part in self.parts[self.places[index]]
            ),
            NOTED_TEXTS.name: pa.table({"place": np.full(len(used), index, np.int32), "text_id": used}),
        }

    def notes(self) -> list[str]:
        """Where there are no quadrants although the model is gated, or no correlated neurons."""
        live, sites, notes = self.plan.live, self.plan.config.sites, []
        if live.gated and not self.gated and GATED_SITE in sites:
            notes.append(f"no quadrants: an activation of {live.model_id} has not the sign of gate times up")
        if not all(are_compared(live, site) for site in sites):
            notes.append("no correlated neurons: those of different experts have activations on different tokens")
        return notes

    def _has_quadrants(self, site: str) -> bool:
        return self.gated and site == GATED_SITE

    def batches(self, shard: int) -> Iterator[tuple[Batch, torch.Tensor, torch.Tensor]]:
        """The batches of a shard, ids and mask: they follow from the shard and --batch-tokens."""
        texts = self.texts.shards[shard]
        encoded = [self.texts.tokens(text).tolist() for text in texts]
        shard_X = hashes_of_texts(self.texts.seed, np.asarray(texts, np.int32))
        for batch in batches(encoded, self.plan.config.batch_tokens):
            ids = [texts[index] for index in batch.indices]
            places = [np.flatnonzero(self.texts.counted(text)) for text in ids]
            texts_B = np.asarray(ids, np.int32)
            yield (
                Batch(
                    texts_B,
                    hashes_of_texts(self.texts.seed, texts_B),
                    [len(encoded[index]) for index in batch.indices],
                    places,
                    [self.texts.drawn(text)[at] for text, at in zip(ids, places, strict=True)],
                    [self.texts.compared(text)[at] for text, at in zip(ids, places, strict=True)],
                    self.texts.first_token,
                    shard_X,
                ),
                batch.input_ids,
                batch.attention_mask,
            )

    def read(self, batch: Batch, input_ids: torch.Tensor, mask: torch.Tensor) -> None:
        """Run the model over a batch, and take what it gives at each place."""
        config, live = self.plan.config, self._own.live
        marks = Marks.of(batch, input_ids.shape[1])
        below: dict[tuple[str, int], torch.Tensor] = {}

        def branches_of(site: str, expert: int, acts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
            if site in BRANCHES and self._has_quadrants(GATED_SITE) and GATED_SITE in config.sites:
                below[site, expert] = negative(acts)
            if not self._has_quadrants(site):
                return None
            return below.pop((BRANCHES[0], expert)), below.pop((BRANCHES[1], expert))

        def keep(site: str, layer: int, acts_BTN: torch.Tensor) -> None:
            branches = branches_of(site, 0, acts_BTN)
            self._take(Place(site, layer), 0, Seen(batch, acts_BTN, branches))

        def keep_routed(site: str, layer: int, routed: Routed) -> None:
            branches, place = branches_of(site, routed.expert, routed.acts_RN), Place(site, layer)
            if place not in self.parts:
                return
            if self.parts[place][routed.expert].kind == ROUTED:
                self._take(place, routed.expert, seen_by_expert(marks, routed, branches))
                return
            shape = (*input_ids.shape, -1)  # of the MLP that every token passes
            whole = None if branches is None else (branches[0].view(shape), branches[1].view(shape))
            self._take(place, routed.expert, Seen(batch, routed.acts_RN.view(shape), whole))

        wanted = list(config.sites)
        if GATED_SITE in wanted and self.gated:
            wanted += BRANCHES
        try:
            capture(live, input_ids.to(live.device), mask.to(live.device), wanted, self.plan.layers, keep, keep_routed)
        except torch.OutOfMemoryError as error:
            raise BuildError(
                f"the {live.device} has too little memory for {input_ids.numel()} tokens at once",
                "Lower --batch-tokens and use --restart.",
            ) from error

    def _take(self, place: Place, expert: int, seen: AtPlace | None) -> None:
        go_on()
        if place not in self.parts or seen is None:
            return
        if (place, expert) not in self.states:
            part = self.parts[place][expert]
            self.states[place, expert] = PlaceState(
                place.layer,
                part.neurons,
                self._has_quadrants(place.site),
                first_neuron=part.first_neuron,
                routed=part.kind == ROUTED,
                compares=are_compared(self.plan.live, place.site),
            )
        self.states[place, expert].take(seen)

    def _correlated(self, site: str, noted: pa.Table) -> Tables:
        layers = list(self.plan.layers)
        width = self.plan.live.width(site)
        compared = [compared_of(at_place(noted, self.places.index(Place(site, layer)))) for layer in layers]
        # The neurons that a narrower layer lacks are constant, and so in no group.
        compared = [np.pad(acts_TN, ((0, 0), (0, width - acts_TN.shape[1]))) for acts_TN in compared]
        place_M, group_M = correlated(compared, self.plan.config.memory, self.plan.live.device)
        return {"_correlated": correlated_rows(place_M, group_M, site, layers, width)}

    def _text_rows(self, used: np.ndarray) -> Tables:
        texts, words = self.texts, self.texts.has_words and self.plan.config.words
        table = next(table for table in EXEMPLAR_TABLES if table.name == "_text")
        rows = [
            {
                "text_id": text,
                "source": texts.sources[texts.source_X[text]],
                "document": int(texts.documents_X[text]),
                "start": int(texts.starts_X[text]),
                "n_tokens": int(texts.offsets_X[text + 1] - texts.offsets_X[text]),
                "tokens": texts.tokens(text).tolist() if words else None,
            }
            for text in used.tolist()
        ]
        return {"_text": rows_of(table, rows)}


def are_compared(live: LiveModel, site: str) -> bool:
    """Whether correlations of neurons are made at a site: where each has an activation on the same tokens."""
    return not (live.has_experts and site in live.neuron_sites())


def _parts(live: LiveModel, place: Place) -> list[Part]:
    """The neurons of a place, those together that have the same tokens."""
    if place.site in live.neuron_sites():
        return live.parts(place.layer)
    return [Part(0, 0, live.width(place.site), DENSE)]
