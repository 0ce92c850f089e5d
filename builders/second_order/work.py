"""The units of the product: a layer each, of which the images are read as often as the memory asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch

from atlas.errors import BuildError
from atlas.live.later_heads import coefficients, directions, image_rows, later_heads
from atlas.schema.second_order_tables import SECOND_ORDER
from builders.arrow import rows_of
from builders.build.product import Activations, Tables, Work
from builders.second_order.summary import near_words, summary

if TYPE_CHECKING:
    from builders.build.plan import Plan
    from builders.exemplars.running_text import RunningText


class MeasureSecondOrder(Work):
    """It holds what one layer's neurons, or a part of them, do on all images: at most half of the build's memory."""

    def __init__(self, plan: Plan, images: RunningText, run_id: int) -> None:
        self._live, self._config, self._run_id = plan.live, plan.config, run_id
        self._numbers = [int(images.tokens(index)[0]) for index in range(len(images))]
        self._at_once = max(1, plan.config.batch_tokens // images.max_tokens)

    def run(self, unit: str, activations: Activations | None = None) -> Tables:
        """The rows of a layer. Raises BuildError for effects that are no numbers."""
        layer, live = int(unit.rpartition("/")[2]), self._live
        per_neuron = 4 * later_heads(live, layer) * (len(self._numbers) + live.unembedding().shape[1])
        width = max(1, self._config.memory // 2 // per_neuron)
        parts = [
            rows_of(SECOND_ORDER, self._rows(layer, slice(first, min(first + width, live.neurons(layer)))))
            for first in range(0, live.neurons(layer), width)
        ]
        return {SECOND_ORDER.name: pa.concat_tables(parts)}

    def _rows(self, layer: int, neurons: slice) -> list[dict[str, Any]]:
        live = self._live
        found = [
            coefficients(live, layer, image_rows(live, self._numbers[start : start + self._at_once]), neurons).cpu()
            for start in range(0, len(self._numbers), self._at_once)
        ]
        coefficients_BKN, directions_KNE = torch.cat(found).float(), directions(live, layer, neurons).cpu()
        if not (torch.isfinite(coefficients_BKN).all() and torch.isfinite(directions_KNE).all()):
            raise BuildError(f"effects of layer {layer} are not finite", "Use another --dtype: float32.")
        return [
            self._row(layer, neurons.start + n, coefficients_BKN[..., n], directions_KNE[:, n])
            for n in range(directions_KNE.shape[1])
        ]

    def _row(
        self, layer: int, neuron: int, coefficients_BK: torch.Tensor, directions_KE: torch.Tensor
    ) -> dict[str, Any]:
        found = summary(coefficients_BK, directions_KE)
        row: dict[str, Any] = {
            "run_id": self._run_id,
            "layer": layer,
            "neuron": neuron,
            "images": len(coefficients_BK),
            "mean_norm": found.mean_norm,
            "largest_norm": found.largest_norm,
            "used": found.used,
            "explained": found.explained,
        }
        if found.direction_E is not None:
            words_WE = self._live.unembedding().cpu()
            raised, lowered = near_words(found.direction_E, words_WE, min(self._config.top, len(words_WE)))
            row |= {"raised_token": raised.words, "raised_cosine": raised.cosines}
            row |= {"lowered_token": lowered.words, "lowered_cosine": lowered.cosines}
        return row
