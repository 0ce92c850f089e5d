"""Which methods are compared about a neuron, and in what words."""

from __future__ import annotations

from collections.abc import Collection

from benchmarks.neurons.agree import Comparison, Row, most_frequent
from benchmarks.neurons.labels import words_of
from builders.descriptions.forms import form_of

REPLACEMENT = "\ufffd"


def forms(tokens: Collection[str]) -> set[str]:
    """The words of tokens; parts of a character, white space and marks are none."""
    return {form_of(token) for token in tokens if REPLACEMENT not in token and any(map(str.isalnum, token))}


def _fires_at(row: Row) -> set[str]:
    return forms(row["fires_at"])


def _next(row: Row) -> set[str]:
    return forms(row["next"])


def _reads(row: Row) -> set[str]:
    return forms(row["reads"])


def _writes(row: Row) -> set[str]:
    return forms(row["writes"])


def _graph(row: Row) -> set[str]:
    return forms(row["graph"]["tokens"]) if row["graph"] else set()


def _concept(row: Row) -> set[str]:
    return {row["concept"]["concept"]} if row["concept"] else set()


def _concept_words(row: Row) -> set[str]:
    return set(words_of(row["concept"]["family"], row["concept"]["concept"])) if row["concept"] else set()


def _concept_labels(row: Row) -> set[str]:
    return set(row["concept"]["most"]) if row["concept"] else set()


def _topic(row: Row) -> set[str]:
    return {row["topic"]["concept"]} if row["topic"] else set()


def _topic_labels(row: Row) -> set[str]:
    return most_frequent([name for family, name in row["labels"] if family == "topics"])


def _attribution(row: Row) -> set[str]:
    return {row["attribution"]["concept"]} if row["attribution"] else set()


INPUT = (
    Comparison("fires / reads", "fires at a word that gate_proj or up_proj reads", _fires_at, _reads),
    Comparison("graph / reads", "its graph begins with a word that they read", _graph, _reads),
    Comparison(
        "label / interval", "most exemplars have the label that the best interval tells", _concept_labels, _concept
    ),
    Comparison("fires / concept", "fires at a word of that concept", _fires_at, _concept_words),
)
OUTPUT = (
    Comparison("writes / fires", "down_proj writes a word that it fires at", _writes, _fires_at),
    Comparison("writes / next", "down_proj writes a word that follows where it fires", _writes, _next),
    Comparison(
        "writes / concept",
        "down_proj writes a word of the concept that the best interval tells",
        _writes,
        _concept_words,
    ),
    Comparison(
        "attribution / interval",
        "adds most to the token of the topic that the best interval tells",
        _attribution,
        _topic,
    ),
    Comparison(
        "attribution / label", "adds most to the token of the topic of most exemplars", _attribution, _topic_labels
    ),
)
BOTH = (Comparison("reads / writes", "down_proj writes a word that gate_proj or up_proj reads", _reads, _writes),)
COMPARISONS = (*INPUT, *OUTPUT, *BOTH)
