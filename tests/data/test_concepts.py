"""The committed concept sets: well-formed, varied, large enough, and the ones data/README.md vouches for."""

import hashlib
import itertools
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from statistics import fmean

import pytest

DATA = Path(__file__).resolve().parents[2] / "data"
README = DATA / "README.md"
FILES = sorted((DATA / "concepts").glob("*.jsonl"))

MIN_SENTENCES = {"topics.jsonl": 150, "emotions.jsonl": 60}
MIN_WORDS, MAX_WORDS = 8, 30
MAX_JACCARD = 0.6
MAX_SAME_OPENING = 3
MAX_LENGTH_GAP = 1.0  # words between the mean lengths of two concepts

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def words(text):
    return re.findall(r"[\w']+", text.casefold())


def recorded_hashes():
    """File name (relative to data/) -> sha256, from the table rows of data/README.md."""
    row = re.compile(r"^\|\s*`(?P<name>[^`]+)`\s*\|.*\|\s*`(?P<sha>[0-9a-f]{64})`\s*\|\s*$", re.MULTILINE)
    return {match["name"]: match["sha"] for match in row.finditer(README.read_text(encoding="utf-8"))}


def test_there_are_concept_files():
    assert FILES


@each_file
def test_lines_have_exactly_text_and_concept(path):
    for number, record in enumerate(records(path), 1):
        assert isinstance(record, dict), f"line {number}"
        assert set(record) == {"text", "concept"}, f"line {number}"
        for key, value in record.items():
            assert isinstance(value, str) and value.strip(), f"line {number}: {key}"


@each_file
def test_enough_sentences_per_concept(path):
    counts = Counter(record["concept"] for record in records(path))
    assert counts
    assert {concept: n for concept, n in counts.items() if n < MIN_SENTENCES[path.name]} == {}


@each_file
def test_no_near_duplicates(path):
    sets = [(frozenset(words(record["text"])), record["text"]) for record in records(path)]
    near = [
        (text_a, text_b)
        for (a, text_a), (b, text_b) in itertools.combinations(sets, 2)
        if len(a & b) > MAX_JACCARD * len(a | b)
    ]
    assert near == []


@each_file
def test_openings_vary(path):
    openings = Counter((r["concept"], *words(r["text"])[:3]) for r in records(path))
    assert {opening: n for opening, n in openings.items() if n > MAX_SAME_OPENING} == {}


@each_file
def test_sentence_lengths(path):
    texts = [record["text"] for record in records(path)]
    assert [text for text in texts if not MIN_WORDS <= len(text.split()) <= MAX_WORDS] == []


@each_file
def test_length_does_not_tell_the_concept(path):
    lengths = defaultdict(list)
    for record in records(path):
        lengths[record["concept"]].append(len(record["text"].split()))
    means = [fmean(of_concept) for of_concept in lengths.values()]
    assert max(means) - min(means) <= MAX_LENGTH_GAP


def test_emotions_has_its_six_concepts():
    concepts = {record["concept"] for record in records(DATA / "concepts" / "emotions.jsonl")}
    assert concepts == {"joy", "sadness", "anger", "fear", "surprise", "disgust"}


def test_topics_has_at_least_eight_concepts():
    concepts = {record["concept"] for record in records(DATA / "concepts" / "topics.jsonl")}
    assert len(concepts) >= 8


@each_file
def test_readme_records_the_sha256(path):
    name = path.relative_to(DATA).as_posix()
    assert recorded_hashes().get(name) == hashlib.sha256(path.read_bytes()).hexdigest()
