"""How much of each concept reaches each expert, and whether that is enough to measure anything.

Axes: T texts, C concepts, X experts of a layer, L entries of the log of what was routed, R rows of the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from builders.activations.routed import EXPERT, TEXT, TOKENS, VALUES
from builders.build.product import ExpertCounts

if TYPE_CHECKING:
    from atlas.live.model import LiveModel
    from builders.build.plan import Reading

ENOUGH = 10
"""Texts of a concept with a value below which an expert has no statistics of it: two for each of five folds."""


@dataclass(frozen=True)
class Texts:
    """What is known of the texts of a corpus. `values_C`, `texts_C`, `tokens_C`: of each concept, in all."""

    labels_T: np.ndarray
    hashes_T: np.ndarray
    values_C: np.ndarray
    texts_C: np.ndarray
    tokens_C: np.ndarray


def texts_of(reading: Reading) -> Texts:
    """Those of a labelled corpus; tokens that count are those that activations are pooled over."""
    labels_T = np.asarray(reading.corpus.labels, dtype=np.int64)
    n_concepts = len(reading.corpus.concepts)
    lengths = map(len, reading.encoded) if reading.counted is None else map(sum, reading.counted)
    tokens_T = np.fromiter(lengths, np.int64, len(labels_T))
    return Texts(
        labels_T,
        reading.text_hashes,
        np.asarray(reading.values_of_concepts, dtype=np.int64),
        np.bincount(labels_T, minlength=n_concepts),
        np.bincount(labels_T, tokens_T, n_concepts).astype(np.int64),
    )


def of_every_text(texts: Texts, n_experts: int) -> ExpertCounts:
    """Of experts that every token passes."""

    def each(values_C: np.ndarray) -> np.ndarray:
        return np.tile(values_C, (n_experts, 1))

    return ExpertCounts(
        each(texts.values_C),
        each(texts.texts_C),
        each(texts.tokens_C),
        texts.texts_C,
        texts.tokens_C,
        np.ones((n_experts, len(texts.texts_C)), bool),
    )


def routed_counts(texts: Texts, log_L5: np.ndarray, n_experts: int) -> ExpertCounts:
    """Of experts that a router sends tokens to; fitted where ENOUGH texts of a concept have a value, beside another."""
    n_concepts = len(texts.texts_C)
    place_L = log_L5[:, EXPERT].astype(np.int64) * n_concepts + texts.labels_T[log_L5[:, TEXT]]

    def summed(numbers_L: np.ndarray | None) -> np.ndarray:
        found = np.bincount(place_L, numbers_L, n_experts * n_concepts)
        return found.astype(np.int64).reshape(n_experts, n_concepts)

    values_XC = summed(log_L5[:, VALUES])
    fitted_XC = summed(log_L5[:, VALUES] > 0) >= ENOUGH
    fitted_XC &= fitted_XC.sum(1, keepdims=True) > 1
    return ExpertCounts(values_XC, summed(None), summed(log_L5[:, TOKENS]), texts.texts_C, texts.tokens_C, fitted_XC)


def beside(first: ExpertCounts, more: ExpertCounts) -> ExpertCounts:
    """The experts of both, one after the other."""
    stacked = {
        name: np.concatenate([getattr(first, name), getattr(more, name)])
        for name in ("values_XC", "texts_XC", "tokens_XC", "fitted_XC")
    }
    return ExpertCounts(texts_C=first.texts_C, tokens_C=first.tokens_C, **stacked)


def most_rows(live: LiveModel, reading: Reading) -> int:
    """Rows that all experts of a layer have together at most: each token goes to as many as the config says."""
    per_token = live.experts_per_token
    if reading.position == "last":
        return per_token * len(reading.encoded)
    lengths = map(len, reading.encoded) if reading.counted is None else map(sum, reading.counted)
    return per_token * sum(lengths)
