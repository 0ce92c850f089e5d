"""The activations of one corpus for all products that want them: one forward pass, then one reading of each place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from atlas.live.capture import ROUTER
from atlas.live.expert_layer import SHARED
from atlas.store.staging import Staging
from builders.activations.blocks import Blocks, routed_folder
from builders.activations.counts import beside, most_rows, of_every_text, routed_counts, texts_of
from builders.activations.record import Rows, dense_sizes, record, routed_widths, shared_name
from builders.activations.routed import RoutedScratch
from builders.activations.scratch import DeviceScratch, Scratch, scratch_for
from builders.build.product import Activations, ExpertCounts, LayerOfParts, Place
from builders.progress import Silent

if TYPE_CHECKING:
    from atlas.live.expert_layer import ExpertLayer
    from builders.build.plan import Plan, Reading


class ActivationReader:
    """What the forward pass over one corpus left in the scratch files."""

    def __init__(
        self,
        plan: Plan,
        reading: Reading,
        scratch: Scratch | DeviceScratch,
        routed: RoutedScratch,
        rows: Rows,
        blocks: Blocks | None = None,
    ) -> None:
        """`blocks`: of what workers have recorded, to be joined before a place is read."""
        self._blocks = blocks
        self._live, self._scratch, self._routed, self._rows = plan.live, scratch, routed, rows
        self._hashes_R = reading.text_hashes[rows.examples_R]
        self._texts = texts_of(reading)

    def read(self, place: Place) -> Activations | LayerOfParts:
        """Every activation at one place, memory-mapped or on the device; of experts one at a time."""
        if self._blocks is not None:
            self._blocks.join(place)
        live = self._live
        if place.site not in live.neuron_sites() or not live.layers_differ:
            return self._all(place.site, place, live.width(place.site, place.layer))
        experts = live.experts(place.layer)
        if experts is None:
            counts = of_every_text(self._texts, n_experts=1)
            return LayerOfParts(place, counts, lambda: iter([self._all(place.site, place, live.neurons(place.layer))]))
        log_L5 = self._routed.log(*place)
        counts = routed_counts(self._texts, log_L5, experts.n_routed)
        if experts.shared_width:
            counts = beside(counts, of_every_text(self._texts, n_experts=1))
        logits_RX = self._scratch.read(ROUTER, place.layer, len(self._rows.labels_R), experts.n_routed)
        return LayerOfParts(
            place, counts, lambda: self._experts(place, experts, log_L5, counts), logits_RX, self._rows.labels_R
        )

    def _experts(
        self, place: Place, experts: ExpertLayer, log_L5: np.ndarray, counts: ExpertCounts
    ) -> Iterator[Activations]:
        for part in experts.parts():
            if part.kind == SHARED:
                yield self._all(shared_name(place.site), place, part.neurons, part.first_neuron)
                continue
            concepts = np.flatnonzero(counts.fitted_XC[part.expert])
            if not len(concepts):
                continue
            texts_V, acts_VN = self._routed.read(*place, experts.width, log_L5, part.expert)
            labels_V = self._texts.labels_T[texts_V]
            kept = np.isin(labels_V, concepts)
            texts_V = texts_V[kept]
            yield Activations(
                place,
                acts_VN if kept.all() else acts_VN[kept],
                np.searchsorted(concepts, labels_V[kept]),
                texts_V,
                self._texts.hashes_T[texts_V],
                part.first_neuron,
                tuple(concepts.tolist()),
                routed=True,
            )

    def _all(self, name: str, place: Place, width: int, first_neuron: int = 0) -> Activations:
        """What every text has a value of, called `name` in the scratch."""
        rows = self._rows
        acts_RN = self._scratch.read(name, place.layer, len(rows.labels_R), width)
        return Activations(place, acts_RN, rows.labels_R, rows.examples_R, self._hashes_R, first_neuron)

    def remove(self) -> None:
        """Delete the files, or give the device's memory back."""
        self._scratch.remove()
        self._routed.remove()
        if self._blocks is not None:
            self._blocks.remove()


def reader_of(blocks: Blocks) -> ActivationReader:
    """Of a corpus that the model has run over block by block."""
    return ActivationReader(blocks.plan, blocks.reading, blocks.scratch, blocks.routed, blocks.rows, blocks)


def open_reader(
    plan: Plan, reading: Reading, places: Iterable[Place], staging: Staging, progress: Silent
) -> ActivationReader:
    """Run the model over a corpus, as far as a killed build has not, and keep what is wanted at `places`.

    A resumed build must want the same places. Raises BuildError when the disk is too small.
    """
    config, live, family = plan.config, plan.live, reading.family
    sites, layers = (list(dict.fromkeys(each)) for each in zip(*places, strict=True))
    sizes, n_rows = dense_sizes(live, sites, layers), sum(reading.values_of_texts)
    scratch = scratch_for(staging.scratch / family, live.device, n_rows * sum(sizes.values()))
    routed = RoutedScratch(routed_folder(staging.scratch / family))
    if widths := routed_widths(live, sites, layers):
        routed.prepare(most_rows(live, reading) * sum(widths.values()))
    with progress.task(f"activations of {family}", len(reading.encoded)) as advance:
        rows = record(
            live,
            staging,
            scratch,
            routed,
            f"activations/{family}",
            reading.encoded,
            reading.corpus.labels,
            sites=sites,
            layers=layers,
            position=reading.position,
            batch_tokens=config.batch_tokens,
            counted=reading.counted,
            advance=advance,
        )
    return ActivationReader(plan, reading, scratch, routed, rows)
