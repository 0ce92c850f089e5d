"""A detector at work: texts in, scores out, by a live model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atlas.detector import Detector
from atlas.errors import ModelError
from atlas.live.batching import Batch, Counted, batches, counted_mask, encode_at
from atlas.live.capture import capture
from atlas.live.model import LiveModel
from atlas.live.pooling import pool


@dataclass(frozen=True)
class Labelled:
    """What a detector says of one text. `inside`: the neurons that are inside their intervals; None: it has none."""

    text: str
    score: float
    has_concept: bool
    inside: list[str] | None


def label(
    live: LiveModel, detector: Detector, texts: Sequence[str], *, batch_tokens: int
) -> tuple[list[Labelled], int]:
    """One answer a text, in order, and how many texts were cut. The texts are read as those of the detector were.

    Raises ModelError for activations that are no numbers, and what `encode_at` and `batches` raise.
    """
    reading = detector.reading
    how = reading.template, reading.max_tokens, reading.position, reading.pool
    encoded, counted = encode_at(live, texts, *how)
    acts_XK = np.empty((len(texts), len(detector.neurons)), np.float32)
    for batch in batches(encoded.input_ids, batch_tokens):
        acts_XK[batch.indices] = _activations(live, detector, batch, counted)
    if not np.isfinite(acts_XK).all():
        raise ModelError(f"{live.model_id} gives activations that are no finite numbers", "Try --dtype float32.")
    return [_answer(detector, text, row) for text, row in zip(texts, acts_XK.tolist(), strict=True)], encoded.n_cut


def _answer(detector: Detector, text: str, activations: list[float]) -> Labelled:
    score = detector.score(activations)
    pairs = zip(detector.neurons, activations, strict=True)
    inside = [neuron.address for neuron, activation in pairs if neuron.inside(activation)]
    return Labelled(text, score, score >= detector.threshold, inside if detector.form == "interval" else None)


def _activations(live: LiveModel, detector: Detector, batch: Batch, counted: Counted | None) -> np.ndarray:
    """Those of the detector's neurons, [texts of the batch, K] float32."""
    reading = detector.reading
    pooled = batch.attention_mask if counted is None else counted_mask(batch, counted)
    found = np.empty((len(batch.indices), len(detector.neurons)), np.float32)
    columns: dict[int, list[int]] = {}
    for place, neuron in enumerate(detector.neurons):
        columns.setdefault(neuron.layer, []).append(place)

    def keep(site: str, layer: int, acts_BTN) -> None:
        places = columns[layer]
        wanted = acts_BTN[..., [detector.neurons[place].neuron for place in places]]
        found[:, places] = pool(wanted, pooled.to(live.device), reading.position).cpu().numpy()

    capture(live, batch.input_ids, batch.attention_mask, [reading.site], list(columns), keep)
    return found
