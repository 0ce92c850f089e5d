"""Which methods are compared about a neuron, and in what words."""

from __future__ import annotations

from collections.abc import Collection

from benchmarks.neurons.agree import Comparison, Row, most_frequent
from benchmarks.neurons.labels import FAMILIES, words_of
from builders.descriptions.forms import form_of

REPLACEMENT = "\ufffd"
COMPARED = FAMILIES[0]
"""The family of concepts that the exemplars' texts have labels of, and that attributions are of."""


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


def _lowers(row: Row) -> set[str]:
    return forms(row["lowers"])


def _topic(row: Row) -> set[str]:
    topic = row["concepts"].get(COMPARED)
    return {topic["concept"]} if topic else set()


def _topic_words(row: Row) -> set[str]:
    return {word for topic in _topic(row) for word in words_of(COMPARED, topic)}


def _labels_there(row: Row) -> set[str]:
    topic = row["concepts"].get(COMPARED)
    return set(topic["most"]) if topic else set()


def _labels(row: Row) -> set[str]:
    return most_frequent([name for family, name in row["labels"] if family == COMPARED])


def _attribution(row: Row) -> set[str]:
    return {row["attribution"]["concept"]} if row["attribution"] else set()


INPUT = (
    Comparison("fires at a word that gate_proj or up_proj reads", _fires_at, _reads),
    Comparison("its graph begins with a word that they read", _graph, _reads),
    Comparison("fires at a word of the topic that the best interval tells", _fires_at, _topic_words),
    Comparison("most exemplars at that end have the topic that the best interval tells", _labels_there, _topic),
)
OUTPUT = (
    Comparison("down_proj raises a word that it fires at", _writes, _fires_at),
    Comparison("down_proj lowers a word that it fires at", _lowers, _fires_at),
    Comparison("down_proj raises a word that follows where it fires", _writes, _next),
    Comparison("down_proj raises a word of the topic that the best interval tells", _writes, _topic_words),
    Comparison("adds most to the logit of the topic that the best interval tells", _attribution, _topic),
    Comparison("adds most to the logit of the topic of most exemplars", _attribution, _labels),
)
BOTH = (
    Comparison("down_proj raises a word that gate_proj or up_proj reads", _reads, _writes),
    Comparison("down_proj lowers a word that they read", _reads, _lowers),
)
COMPARISONS = (*INPUT, *OUTPUT, *BOTH)
