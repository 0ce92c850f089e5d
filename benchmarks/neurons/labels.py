"""What the labelled texts say beside their activations: the label of each, and the words of a concept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from atlas.packaged import data_folder
from builders.corpora.registry import load_corpus

FAMILIES = ("topics", "emotions")
WORDS = 20
"""Words of a concept, beside its name."""
_WORD = re.compile(r"[^\W\d_]{3,}")


@cache
def labelled(family: str) -> list[tuple[str, str]]:
    """(text, concept) of each row of an own set, in the order of its file."""
    source = str(_source(family))
    corpus = load_corpus(source, family=None, limit_per_concept=None, holdout=0.0)
    return [(text, corpus.concepts[label]) for text, label in zip(corpus.texts, corpus.labels, strict=True)]


def label_of(source: str, document: int) -> tuple[str, str] | None:
    """(family, concept) of a document of the running text, counted from 1; None for other texts."""
    family = next((name for name in FAMILIES if _source(name).name == source), None)
    return None if family is None else (family, labelled(family)[document - 1][1])


def words_of(family: str, concept: str) -> list[str]:
    """The concept's name and its WORDS most distinctive words."""
    return [concept, *distinctive(labelled(family), concept)]


def distinctive(texts: Iterable[tuple[str, str]], concept: str) -> list[str]:
    """Of at least three letters, by share of the concept's texts that have the word - share of all others."""
    counts: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    n = [0, 0]
    for text, label in texts:
        own = label == concept
        n[own] += 1
        counts[own].update(set(_WORD.findall(text.lower())))
    others, of_concept = counts
    share = {word: of_concept[word] / n[1] - others[word] / max(n[0], 1) for word in of_concept}
    return sorted(share, key=lambda word: (-share[word], word))[:WORDS]


def _source(family: str) -> Path:
    return data_folder() / "concepts" / f"{family}.jsonl"
