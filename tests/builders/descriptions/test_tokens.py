"""Sentences by fixed rules, and detection, on the small atlas: L1N7 fires on " game", " team", " ball"."""

from __future__ import annotations

import re

import pytest

from builders.descriptions.choice import SIDES, Side
from builders.descriptions.evidence import Source, texts_of
from builders.descriptions.forms import named_in
from builders.descriptions.held_out import Case, cases_of
from builders.descriptions.score import by_words, detection
from builders.descriptions.tokens import describe
from tests.atlas_factory import WORDS, random_logits
from tests.exemplar_factory import planted_reads, planted_texts

PLANTED, LOWERED = (1, 7), (1, 2)
UP, DOWN = Side("input", 1), Side("input", -1)


def test_what_fires_a_neuron_is_named_with_how_often(source: Source) -> None:
    text = describe(UP, source.of(PLANTED), source).text
    assert {"game", "team", "ball"} <= set(named_in(text))
    found = re.match(r"Responds to .* \((\d+) of (\d+) exemplars", text)
    assert found and found[1] == found[2] == "8"
    assert "tells topics/sports (held out: coverage 0.95, leakage 0.00, n 20)" in text
    below = describe(DOWN, source.of(LOWERED), source).text
    assert below.startswith('Is below 0 on "dog" (8 of 8 exemplars')


def test_what_a_neuron_promotes_are_its_top_tokens(source: Source) -> None:
    for sign in (1, -1):
        text = describe(Side("output", sign), source.of((2, 5)), source).text
        order = (-sign * random_logits("down_proj", 2, 0)[5]).argsort()[:6]
        forms = {WORDS[token].strip().lower() or WORDS[token] for token in order}
        named = set(named_in(text))
        assert named <= forms and all(any(form in (one, one + "s", one[:-1]) for one in named) for form in forms)


def test_what_there_is_no_data_for_is_left_out_and_said(source: Source, wordless: Source) -> None:
    assert source.notes() == []
    assert wordless.notes() == ["this atlas has no intervals and no exemplars with words: descriptions are without"]
    written = describe(UP, wordless.of(PLANTED), wordless)
    assert written.evidence == ["decodings"] and written.text.startswith("Its weights read")
    assert cases_of(UP, wordless.of(PLANTED), wordless) == []
    assert describe(UP, source.of(PLANTED), source).evidence == ["exemplars", "decodings", "intervals"]


@pytest.mark.parametrize("neuron", [PLANTED, LOWERED, (0, 0), (2, 15)])
@pytest.mark.parametrize("side", SIDES[:2])
def test_what_is_held_out_was_not_shown_and_near_misses_are_foreign(source: Source, neuron, side: Side) -> None:
    evidence = source.of(neuron)
    shown, held = texts_of(evidence.shown(side)), texts_of(evidence.held_out(side))
    assert not shown & held and len(shown | held) == len(evidence.shown(side)) + len(evidence.held_out(side))
    reads = planted_reads(WORDS, neuron[0], 16, 0)
    extreme = [max(side.sign * read.acts_TN[:, neuron[1]]) for read in reads]
    texts = [[WORDS[token] for token in tokens] for tokens in planted_texts(WORDS, 0)]
    own = {i for i in range(len(texts)) if i in shown | held}
    for case in cases_of(side, evidence, source):
        at = [i for i, words in enumerate(texts) if "".join(case.words) in "".join(words)]
        assert at and (set(at) & held if case.fires else not set(at) <= own)
        if not case.fires:  # of none of the sixteen texts on which it fires most
            assert min(extreme[i] for i in at) < sorted(extreme)[-16]


def test_detection_is_balanced_accuracy(source: Source) -> None:
    """Counted plainly: words of the text near the exemplar's own token."""
    evidence = source.of(PLANTED)
    cases = cases_of(UP, evidence, source)
    text = describe(UP, evidence, source).text
    names = {form for name in named_in(text) for form in (name, name + "s", name.removesuffix("s"))}
    names |= {"cities"} if "city" in names else set()
    hits = {True: [], False: []}
    for case in cases:
        own = case.own
        assert not case.fires or case.words[own] in (" game", " team", " ball")
        near = case.words[max(0, own - 4) : own + 2]
        hits[case.fires].append(any((word.strip().lower() or word) in names for word in near))
    due = (sum(hits[True]) / len(hits[True]) + sum(not hit for hit in hits[False]) / len(hits[False])) / 2
    found = detection(text, 'Responds to "walk".', cases, by_words)
    assert found.score == pytest.approx(due) and found.n == len(cases)


def test_a_right_description_scores_high_and_one_of_another_neuron_does_not(source: Source) -> None:
    cases = cases_of(UP, source.of(PLANTED), source)
    found = detection('Responds to "game", "team", "ball".', 'Responds to "law".', cases, by_words)
    assert found.score > 0.7 and found.control < 0.65 and found.score > found.control + 0.2


def test_nothing_is_scored_where_a_judge_says_nothing() -> None:
    cases = [Case([" a", " dog"], True, 1), Case([" a"], False, 0), Case([" cat"], False, 0)]
    assert detection("x", None, cases, lambda text, cases: [None, True, False]) is None
    assert detection("x", None, cases[:1], lambda text, cases: [True]) is None
    assert detection("x", None, [], lambda text, cases: []) is None
    assert detection("x", "y", cases, lambda text, cases: [True, None, text == "y"]) == (1.0, 2, 0.5)
    assert by_words("it is.", cases) == [None] * 3
