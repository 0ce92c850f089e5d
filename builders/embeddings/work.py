"""The vectors of the descriptions of one layer after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from builders.build.product import Activations, Tables, Work
from builders.descriptions.choice import TOKENS
from builders.descriptions.forms import named_in
from builders.embeddings.embedder import Embedder, embedder_named

if TYPE_CHECKING:
    from builders.config import BuildConfig


def embedded_text(author: str, text: str) -> str:
    """What of a description is embedded: of one by fixed rules the words that it names, else the sentence."""
    return ", ".join(named_in(text)) or text if author == TOKENS else text


class EmbedDescriptions(Work):
    """`ids`: layer -> [[neuron, side, sign, author, text]]."""

    def __init__(self, config: BuildConfig, ids: dict[str, list[list[Any]]]) -> None:
        self._config, self._ids = config, ids
        self._embedder: Embedder | None = None

    def run(self, unit: str, activations: Activations | None = None) -> Tables:
        """Those of the layer `unit`; equal texts are embedded once."""
        rows = self._ids.get(unit, [])
        if not rows:
            return {}
        if self._embedder is None:
            self._embedder = embedder_named(str(self._config.embed), self._config.requests_per_minute)
        texts = [embedded_text(author, text) for _, _, _, author, text in rows]
        different = list(dict.fromkeys(texts))
        place = {text: index for index, text in enumerate(different)}
        half_RD = self._embedder.embed(different).astype("<f2")
        columns = list(zip(*rows, strict=True))
        n = len(rows)
        return {
            "_embedding": pa.table(
                {
                    "layer": np.full(n, int(unit.removeprefix("L")), np.int32),
                    "neuron": np.asarray(columns[0], np.int32),
                    "side": pa.array(columns[1]),
                    "sign": np.asarray(columns[2], np.int8),
                    "author": pa.array(columns[3]),
                    "embedder": pa.array([self._embedder.name] * n),
                    "vector": pa.array([half_RD[place[text]].tobytes() for text in texts], pa.binary()),
                }
            )
        }

    def notes(self) -> list[str]:
        """How many there are."""
        return [f"{sum(map(len, self._ids.values())):,} descriptions are embedded"]
