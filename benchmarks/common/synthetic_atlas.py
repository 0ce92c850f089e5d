"""What a synthetic atlas holds: token lists and activations shaped like those of real models, deterministic.

Token popularity follows the rank curve measured on the weights of SmolLM2-135M (9 matrices, top 32 of both signs):
the most popular token stands in 7.4 % of the lists, the first 10 fill 1.6 % of all slots, the first 100 8.5 %, the
first 1000 31 %, the first 10,000 77 %, and 21 % of the tokens occur nowhere. Logits have the measured profile (about
3.8 at rank 1, 2.7 at rank 32) with full float32 noise.

Axes: N neurons of a layer, K tokens of a list, V vocabulary, E examples, C concepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

TOP = 32
CURVE = (
    (1, 0.074 / TOP),
    (10, 0.016),
    (100, 0.085),
    (1000, 0.31),
    (10_000, 0.77),
)  # rank -> share of the slots up to it
OCCURRING = 0.79  # share of the tokens that stand in any list
CONCEPTS = (
    "company school artist athlete politician vehicle building nature village animal plant album film book".split()
)
PER_CONCEPT = 60
_VARIANTS = (1, 2, 4, 6, 12)  # how many forms of a word the vocabulary has ...
_SHARES = (0.5, 0.2, 0.15, 0.1, 0.05)  # ... and how often
_FORMS = (" {0}", "{0}", " {1}", "{1}", " {0}s", "{0}s", " {1}s", " {2}", "{1}s", "{2}", " {2}S", "{2}S")


@dataclass(frozen=True)
class Scale:
    """The shape of a model."""

    name: str
    n_layers: int
    d_mlp: int
    d_model: int
    d_vocab: int


SCALES = {scale.name: scale for scale in (Scale("8b", 32, 14336, 4096, 128256), Scale("small", 30, 1536, 576, 49152))}


def token_texts(scale: Scale) -> list[str]:
    """Token texts: invented words, each in 1 to 12 forms (leading space, case, plural), in random order."""
    rng = np.random.default_rng([scale.d_vocab, 1])
    syllables = [a + b for a in "b br c ch d f g gl h j k l m n p pr r s st t tr v w z".split() for b in "aeiou"]
    texts: dict[str, None] = {}
    while len(texts) < scale.d_vocab:
        word = "".join(rng.choice(syllables, rng.integers(2, 4)))
        for form in _FORMS[: rng.choice(_VARIANTS, p=_SHARES)]:
            texts[form.format(word, word.capitalize(), word.upper())] = None
    chosen = list(texts)[: scale.d_vocab]
    return [chosen[i] for i in rng.permutation(scale.d_vocab)]


def popularity(scale: Scale) -> np.ndarray:
    """Share of all slots of each token id, float64 [V]; ids are in random order of popularity."""
    occurring = int(OCCURRING * scale.d_vocab)
    ranks, shares = zip(*CURVE, (occurring, 1.0), strict=True)
    up_to = np.exp(np.interp(np.log(np.arange(1, occurring + 1)), np.log(ranks), np.log(shares)))
    share_V = np.zeros(scale.d_vocab)
    share_V[:occurring] = np.diff(up_to, prepend=0.0)
    return share_V[np.random.default_rng([scale.d_vocab, 2]).permutation(scale.d_vocab)]


@lru_cache(maxsize=1)
def token_pool(scale: Scale) -> np.ndarray:
    """Token ids drawn by popularity, int32 [2^24]; an element taken at random has the right distribution."""
    rng = np.random.default_rng([scale.d_vocab, 3])
    edges = np.cumsum(popularity(scale))
    return np.searchsorted(edges, rng.random(1 << 24) * edges[-1], side="right").astype(np.int32)


def lists(scale: Scale, pool: np.ndarray, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(tokens_NK int32, logits_NK float32) of one layer: distinct tokens, logits positive and descending."""
    rng = np.random.default_rng([scale.d_vocab, 4, *seed])
    tokens_NK = pool[rng.integers(0, len(pool), (scale.d_mlp, TOP))]
    while len(again := np.flatnonzero((np.diff(np.sort(tokens_NK, axis=1), axis=1) == 0).any(axis=1))):
        tokens_NK[again] = pool[rng.integers(0, len(pool), (len(again), TOP))]
    width_N1 = np.exp(rng.normal(0.0, 0.15, (scale.d_mlp, 1))).astype(np.float32)
    excess_NK = -np.sort(-rng.standard_exponential((scale.d_mlp, TOP), np.float32), axis=1)
    logits_NK = width_N1 * (np.float32(2.69) + np.float32(0.275) * excess_NK)
    for row in np.flatnonzero((np.diff(logits_NK, axis=1) == 0).any(axis=1)):  # equal logits: in the order of ids
        tokens_NK[row] = tokens_NK[row][np.lexsort((tokens_NK[row], -logits_NK[row]))]
    return tokens_NK, logits_NK


def activations(scale: Scale, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """(acts_EN float32, labels_E) of one layer: every neuron a Gaussian of its own, one in fifty shifted."""
    rng = np.random.default_rng([scale.d_vocab, 5, layer])
    labels_E = np.repeat(np.arange(len(CONCEPTS)), PER_CONCEPT)
    shift_CN = rng.normal(0.0, 0.3, (len(CONCEPTS), scale.d_mlp))
    shift_CN[rng.random(shift_CN.shape) < 0.02] *= 8
    acts_EN = rng.standard_normal((len(labels_E), scale.d_mlp), np.float32) + shift_CN[labels_E].astype(np.float32)
    return acts_EN * np.exp(rng.normal(-1.0, 0.7, scale.d_mlp)).astype(np.float32), labels_E


def vectors(scale: Scale, weight: int, layer: int) -> np.ndarray:
    """Weight vectors of one layer, float32 [N, d_model]."""
    rng = np.random.default_rng([scale.d_vocab, 6, weight, layer])
    return rng.standard_normal((scale.d_mlp, scale.d_model), np.float32) / np.float32(scale.d_model**0.5)
