"""Held-out examples: which ones they are, and that the atlas remembers the others."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from atlas.errors import CorpusError, UsageError
from atlas.store.reader import open_atlas
from builders.cli import build as cli
from builders.config import BuildConfig, ConceptSource
from builders.corpora.registry import load_corpus
from builders.corpora.text_hash import is_held_out, text_hash
from tests.builders.evaluation.planted import EXAMPLES
from tests.commands import context_of


def plain_hash(text: str) -> int:
    words = text.casefold().split()
    return int(hashlib.sha256(" ".join(words).encode("utf-8")).hexdigest()[:16], 16)


def test_the_hash_ignores_case_and_white_space() -> None:
    assert text_hash("  A\tDog\nruns ") == text_hash("a dog runs") == plain_hash("a dog runs")
    assert text_hash("a dog ran") != text_hash("a dog runs")
    assert text_hash("STRASSE") == text_hash("straße")


def test_the_share_and_its_order() -> None:
    texts = [f"text {number}" for number in range(4000)]
    held = {share: {text for text in texts if is_held_out(text, share)} for share in (0.0, 0.2, 0.5)}
    assert held[0.0] == set()
    assert len(held[0.2]) / 4000 == pytest.approx(0.2, abs=0.03)
    assert held[0.2] < held[0.5]


def test_a_corpus_without_its_held_out_part(corpus: Path) -> None:
    whole, kept = load_corpus(corpus), load_corpus(corpus, holdout=0.4)
    assert kept.texts == [text for text in whole.texts if plain_hash(text) < 0.6 * 2**64]
    assert 0 < len(kept.texts) < len(whole.texts)
    assert kept.sha256 != whole.sha256
    assert any("held out" in note for note in kept.notes)
    limited = load_corpus(corpus, holdout=0.4, limit_per_concept=3)
    assert len(limited.texts) == 9
    assert set(limited.texts) <= set(kept.texts)
    with pytest.raises(CorpusError, match="nothing is left"):
        load_corpus(corpus, holdout=0.9999999)
    for wrong in (-0.1, 1.0, float("nan")):
        with pytest.raises(UsageError, match="holdout"):
            BuildConfig(model="m", target=Path("a"), concepts=(ConceptSource("x"),), holdout=wrong)


def test_the_option_reaches_the_build() -> None:
    context = context_of(cli.build, "build", ["m", "-o", "a.duckdb", "--holdout", "0.25"])
    config = cli.config_from(context.params)
    assert config.holdout == config.parameters()["holdout"] == 0.25


def test_the_atlas_remembers_what_it_used(published: Path) -> None:
    expected = sorted({plain_hash(text) for text, _ in EXAMPLES if plain_hash(text) < 0.6 * 2**64})
    with open_atlas(published) as atlas:
        assert atlas.query("SELECT text_hash FROM fit_example ORDER BY 1")[1] == [(number,) for number in expected]
        assert atlas.query("SELECT n FROM fit")[1] == [(len(expected),)]
