"""What both sides are asked: parameter sets drawn from an atlas, the same for the same atlas."""

from __future__ import annotations

from typing import Any

import numpy as np

from atlas.store.reader import Atlas
from benchmarks.postgres.questions import Word
from queries.card import DEFAULT_TOP
from queries.tokens import token_ids

FORMS = 20
SEED = 7


def parameters(atlas: Atlas, family: str, count: int) -> dict[str, tuple[str, list[Any]]]:
    """Per question its kind (postgres_questions.py) and `count` parameter sets.

    A common word is that of a token drawn as often as it stands in the lists, any word that of a token drawn with
    equal chances; words are added to a set until they have FORMS tokens.
    """
    rng = np.random.default_rng(SEED)
    tokens, weights = _popularity(atlas)
    concepts = [name for (name,) in atlas.query("SELECT concept FROM concept WHERE family = $f", {"f": family})[1]]
    common = [_word_set(atlas, rng, tokens, weights / weights.sum()) for _ in range(count)]
    some = [_word_set(atlas, rng, tokens, None) for _ in range(count)]
    neurons = [f"L{rng.integers(atlas.manifest.n_layers)}N{rng.integers(atlas.manifest.d_mlp)}" for _ in range(count)]
    head = min(DEFAULT_TOP, atlas.manifest.top)
    asked = [concepts[i % len(concepts)] for i in range(count)]
    uniform = rng.choice(tokens, count, replace=False)
    return {
        "hub token": ("token", [Word((text,), True) for text in tokens[:count]]),
        "token, any": ("token", [Word((str(text),), True) for text in uniform]),
        "rare token": ("token", [Word((text,), True) for text in tokens[-count:]]),
        f"set of {FORMS} forms, common words": ("token", common),
        f"set of {FORMS} forms, any words": ("token", some),
        "concept": ("concept", asked),
        "concept and set, common words": ("both", list(zip(asked, common, strict=True))),
        "concept and set, any words": ("both", list(zip(asked, some, strict=True))),
        "the same walked, common words": ("both by walk", list(zip(asked, common, strict=True))),
        f"card, top {head}": ("card", [(neuron, head) for neuron in neurons]),
        f"card, top {atlas.manifest.top}": ("card", [(neuron, atlas.manifest.top) for neuron in neurons]),
        "layer summary": ("layer", [i % atlas.manifest.n_layers for i in range(count)]),
    }


def _popularity(atlas: Atlas) -> tuple[list[str], np.ndarray]:
    """Texts of the tokens that are plain words, the most frequent in the lists first, with how often they stand."""
    _, rows = atlas.query(
        "SELECT token, count(*) AS places FROM _posting JOIN vocab USING (token_id) "
        "WHERE regexp_full_match(token, ' ?[A-Za-z]+') GROUP BY token ORDER BY places DESC, token"
    )
    return [token for token, _ in rows], np.array([places for _, places in rows], dtype=np.float64)


def _word_set(atlas: Atlas, rng: np.random.Generator, tokens: list[str], share: np.ndarray | None) -> Word:
    words: list[str] = []
    while not words or len(token_ids(atlas, words)) < FORMS:
        words.append(tokens[rng.choice(len(tokens), p=share)].strip().lower())
    return Word(tuple(words), False)
