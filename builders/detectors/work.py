"""The rules of one corpus: candidates of one place after the other, then the rules of one concept after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from atlas.schema.detector_tables import NOTED
from builders.build.product import Activations, Noted, Place, Tables, Work
from builders.detectors.candidates import MOST, Candidates, best, measure
from builders.detectors.figures import resampled
from builders.detectors.fitted import Chosen, Texts, of_layer, of_neurons
from builders.detectors.probe import left_out_aucs
from builders.detectors.rows import candidate_rows, rule_rows
from builders.intervals.folds import folds_of

if TYPE_CHECKING:
    from builders.build.plan import Plan, Reading

Read = Callable[[Place], Activations]


class FindDetectors(Work):
    """`ids`: {"fits": site -> fit_id, "concepts": [concept_id]}."""

    def __init__(self, plan: Plan, reading: Reading, ids: dict[str, Any]) -> None:
        self._config, self._device, self._ids, self._layers = plan.config, plan.live.device, ids, plan.layers
        labels_X = np.asarray(reading.corpus.labels, np.int64)
        self._folds_X = folds_of(reading.text_hashes, labels_X, plan.config.folds)

    def run(self, unit: str, activations: Activations) -> Tables:
        """Note the candidates of one place."""
        site, layer = activations.place
        acts_EN, labels_E, n_folds = _tensor(activations), activations.labels_E, self._config.folds
        folds_E = self._folds_X[activations.examples_E]
        measured = measure(acts_EN, labels_E, folds_E, n_folds, self._device)
        aucs_FC = left_out_aucs(acts_EN.to(self._device), labels_E, folds_E, n_folds)
        nobody = np.full((*aucs_FC.shape, 1), np.nan, np.float32)
        candidates = {
            "interval": best(measured.gain, (measured.lower, measured.upper)),
            "linear": best(measured.difference),
            "layer": Candidates(np.full(nobody.shape, -1), aucs_FC[..., None], nobody, nobody),
        }
        place = {"fit_id": self._ids["fits"][site], "layer": layer}
        rows = [candidate_rows(found, form, **place) for form, found in candidates.items()]
        return {NOTED.name: pa.concat_tables(rows)}

    def run_last(self, unit: str, noted: Noted, read: Read) -> Tables:
        """The rules of one concept at one site."""
        _, site, _, index = unit.rsplit("/", 3)
        fit_id, concept = self._ids["fits"][site], int(index)
        rows = noted(NOTED.name)
        rows = rows.filter((pc.field("fit_id") == fit_id) & (pc.field("concept") == concept))
        sets = range(self._config.folds + 1)
        chosen = {form: [_best_of(rows, form, fold) for fold in sets] for form in ("interval", "linear", "layer")}

        def of_place(layer: int) -> Activations:
            return read(Place(site, layer))

        first = of_place(self._layers[0])
        label_E, folds_E = first.labels_E == concept, self._folds_X[first.examples_E]
        texts = Texts(label_E, folds_E, self._config.folds, resampled(label_E, self._config.seed))
        columns = self._columns([each for form in ("interval", "linear") for each in chosen[form]], of_place)

        def acts_of(candidates: Chosen) -> Tensor:
            return torch.stack([columns[place] for place in candidates.places()], dim=1)

        made = [rule for form in ("interval", "linear") for rule in of_neurons(form, chosen[form], acts_of, texts)]
        layers = [int(each.layers[0]) for each in chosen["layer"]]
        made.append(of_layer(layers, lambda layer: _tensor(of_place(layer)).to(self._device), texts))
        return rule_rows(made, fit_id=fit_id, concept_id=self._ids["concepts"][concept])

    def _columns(self, chosen: list[Chosen], of_place: Callable[[int], Activations]) -> dict[tuple[int, int], Tensor]:
        """The activations of all candidates, [E] each, by (layer, neuron); each place is read once."""
        neurons: dict[int, set[int]] = {}
        for layer, neuron in {place for each in chosen for place in each.places()}:
            neurons.setdefault(layer, set()).add(neuron)
        found = {}
        for layer, wanted in sorted(neurons.items()):
            places = sorted(wanted)
            acts_NE = _tensor(of_place(layer), places).to(self._device).T
            found |= {(layer, neuron): acts_NE[i] for i, neuron in enumerate(places)}
        return found


def _best_of(rows: pa.Table, form: str, fold: int) -> Chosen:
    """The MOST candidates of all places, best first; of equal ones the first layer, then the first neuron."""
    rows = rows.filter((pc.field("form") == form) & (pc.field("fold") == fold))
    layers, neurons, values, lower, upper = (
        rows[name].to_numpy() for name in ("layer", "neuron", "value", "lower", "upper")
    )
    order = np.lexsort((neurons, layers, -values))[:MOST]
    return Chosen(*(each[order] for each in (layers, neurons, lower, upper)))


def _tensor(activations: Activations, neurons: list[int] | None = None) -> Tensor:
    """The activations of all neurons, or of some, in memory of their own."""
    acts_EN = activations.acts_EN if neurons is None else activations.acts_EN[:, neurons]
    return acts_EN if isinstance(acts_EN, Tensor) else torch.from_numpy(np.array(acts_EN))
