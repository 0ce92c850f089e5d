"""What is drawn at random, by hashes: the same whatever order texts come in, and whoever works on them."""

from __future__ import annotations

import numpy as np

_GOLDEN, _FIRST, _SECOND = (np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_AT_ONCE = 1 << 16
"""Hashes that are made together: they stay in a cache."""
_30, _27, _31, _32 = (np.uint64(each) for each in (30, 27, 31, 32))


def mixed(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014) of uint64s: each bit depends on all."""
    x = x + _GOLDEN
    x = (x ^ (x >> _30)) * _FIRST
    x = (x ^ (x >> _27)) * _SECOND
    return x ^ (x >> _31)


def hashes_of_texts(seed: int, texts_B: np.ndarray) -> np.ndarray:
    """uint64 [B]."""
    return mixed(mixed(np.full(1, seed, np.uint64)) ^ texts_B.astype(np.uint64))


def hashes_of_neurons(texts_B: np.ndarray, layer: int, width: int, first_neuron: int = 0) -> np.ndarray:
    """uint64 [B, N] of `width` neurons of a layer with each text, from what `hashes_of_texts` gives."""
    neurons_N = (np.uint64(layer) << _32) | np.arange(first_neuron, first_neuron + width, dtype=np.uint64)
    return mixed(texts_B[:, None] ^ neurons_N[None, :])


def last_of_neurons(texts_X: np.ndarray, k: int, layer: int, width: int, first_neuron: int = 0) -> np.ndarray:
    """uint64 [N]: of each neuron the k-th smallest of its hashes with all of some texts; the largest of fewer texts."""
    some = max(1, _AT_ONCE // len(texts_X))
    found = np.empty(width, np.uint64)
    for start in range(0, width, some):
        n = min(some, width - start)
        hashes_XN = hashes_of_neurons(texts_X, layer, n, first_neuron + start)
        k = min(k, len(texts_X))
        found[start : start + n] = np.partition(np.ascontiguousarray(hashes_XN.T), k - 1, axis=1)[:, k - 1]
    return found


def hashes_of_tokens(texts_B: np.ndarray, positions_B: np.ndarray) -> np.ndarray:
    """uint64 [B] of tokens by their places, from what `hashes_of_texts` gives."""
    return mixed(texts_B ^ mixed(positions_B.astype(np.uint64)))


def drawn_tokens(texts_B: np.ndarray, positions_B: np.ndarray, seed: int, share: float) -> np.ndarray:
    """Which tokens, by text and position, are among the share that is drawn: bool [B]."""
    if share >= 1:
        return np.ones(len(texts_B), bool)
    hashes_B = hashes_of_tokens(hashes_of_texts(seed, texts_B), positions_B)
    return hashes_B < np.uint64(int(share * 2.0**64))
