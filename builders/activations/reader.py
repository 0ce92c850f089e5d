"""The activations of one corpus for all products that want them: one forward pass, then one reading of each place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from atlas.store.staging import Staging
from builders.activations.record import Rows, record
from builders.activations.scratch import DeviceScratch, Scratch, scratch_for
from builders.build.product import Activations, Place
from builders.progress import Silent

if TYPE_CHECKING:
    from builders.build.plan import Plan, Reading


class ActivationReader:
    """What the forward pass over one corpus left in the scratch files."""

    def __init__(self, plan: Plan, reading: Reading, scratch: Scratch | DeviceScratch, rows: Rows) -> None:
        self._live, self._scratch, self._rows = plan.live, scratch, rows
        self._hashes_R = reading.text_hashes[rows.examples_R]

    def read(self, place: Place) -> Activations:
        """Every activation at one place, memory-mapped or on the device."""
        rows = self._rows
        acts_RN = self._scratch.read(place.site, place.layer, len(rows.labels_R), self._live.width(place.site))
        return Activations(place, acts_RN, rows.labels_R, rows.examples_R, self._hashes_R)

    def remove(self) -> None:
        """Delete the files, or give the device's memory back."""
        self._scratch.remove()


def open_reader(
    plan: Plan, reading: Reading, places: Iterable[Place], staging: Staging, progress: Silent
) -> ActivationReader:
    """Run the model over a corpus, as far as a killed build has not, and keep what is wanted at `places`.

    A resumed build must want the same places. Raises BuildError when the disk is too small.
    """
    config, live, family = plan.config, plan.live, reading.family
    sites, layers = (list(dict.fromkeys(each)) for each in zip(*places, strict=True))
    n_values = sum(reading.values_of_texts) * len(layers) * sum(live.width(site) for site in sites)
    scratch = scratch_for(staging.scratch / family, live.device, n_values)
    with progress.task(f"activations of {family}", len(reading.encoded)) as advance:
        rows = record(
            live,
            staging,
            scratch,
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
    return ActivationReader(plan, reading, scratch, rows)
