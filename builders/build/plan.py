"""All that a build reads, with the model's own eyes: what every row of it is computed from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from builders.build.product import Place
from builders.config import BuildConfig, ConceptSource
from builders.corpora.base import Corpus
from builders.corpora.text_hash import text_hash

if TYPE_CHECKING:
    import numpy as np

    from atlas.live.batching import Counted
    from atlas.live.model import LiveModel
    from builders.exemplars.running_text import RunningText


@dataclass(frozen=True, eq=False)
class Reading:
    """A labelled corpus as the model reads it.

    `encoded`: the tokens of each text in its template, of which `n_cut` texts were cut. `counted`: which of them its
    activations are pooled over; None: not pooled.
    """

    source: ConceptSource
    corpus: Corpus
    encoded: list[list[int]]
    n_cut: int
    position: str
    counted: Counted | None = None

    @property
    def family(self) -> str:
        """The corpus's name."""
        return self.corpus.family

    @cached_property
    def values_of_texts(self) -> list[int]:
        """How many values of a neuron each text gives: one, or at position `all` one for each token that counts."""
        if self.position != "all":
            return [1] * len(self.encoded)
        return list(map(len, self.encoded) if self.counted is None else map(sum, self.counted))

    @cached_property
    def values_of_concepts(self) -> list[int]:
        """How many values of a neuron each concept has."""
        counts = [0] * len(self.corpus.concepts)
        for label, values in zip(self.corpus.labels, self.values_of_texts, strict=True):
            counts[label] += values
        return counts

    @cached_property
    def text_hashes(self) -> np.ndarray:
        """The hash of each text (builders/corpora/text_hash.py), uint64."""
        import numpy as np

        return np.fromiter(map(text_hash, self.corpus.texts), np.uint64, len(self.corpus.texts))


@dataclass(frozen=True)
class Plan:
    """What decides a build. `tokens`: what neurons are decoded to as (id, text), ascending: the vocabulary, or labels.
    `layers`: those of weights and of activations. `image_files`: those of an image tower, by number."""

    config: BuildConfig
    live: LiveModel
    tokens: list[tuple[int, str]]
    layers: list[int]
    readings: tuple[Reading, ...] = ()
    running_text: RunningText | None = None
    image_files: tuple[Path, ...] = ()

    @property
    def of_layers(self) -> dict[str, list[int]]:
        """Among the parameters of a run over weights: the layers, where they are not all."""
        return {} if self.config.layers is None else {"layers": self.layers}

    @property
    def places(self) -> list[Place]:
        """Every site and layer, site after site."""
        return [Place(site, layer) for site in self.config.sites for layer in self.layers]

    def notes(self) -> list[str]:
        """What the user should know of it."""
        longest = min(self.config.max_tokens, self.live.max_positions or self.config.max_tokens)
        return [
            f"{reading.n_cut} texts of {reading.family} were cut to {longest} tokens"
            for reading in self.readings
            if reading.n_cut
        ]

    def sha256(self) -> str:
        """Of the token texts and of the examples as tokens: another tokenizer beside the same weights shows."""
        digest = hashlib.sha256(repr(self.tokens).encode())
        for reading in self.readings:
            digest.update(repr(reading.encoded).encode())
            if reading.counted is not None:
                digest.update(repr(reading.counted).encode())
        if self.live.images is not None:
            digest.update(self.live.images.sha256.encode())
        if self.running_text is not None:
            digest.update(self.running_text.sha256.encode())
        return digest.hexdigest()
