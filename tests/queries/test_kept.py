"""What a session keeps in memory changes no answer: every question once from the file, once from memory.

Two searches are defined twice, in SQL for a single question and in numpy for a session, because neither way is quick
enough for both. 46,080 neurons, milliseconds on a busy machine, the SQL first: words 60-130 and 3-8, after 250-410 for
the first question, which reads what is kept; a concept 44-150 and 0-5, after 74-98. The goals are 5 and 2 ms warm, and
a cold command within 250 ms. Nearest neurons have one definition, in numpy, over parts that come from memory or from
the file.
"""

from __future__ import annotations

import pytest

from atlas.errors import UnknownNameError
from atlas.store.reader import open_atlas
from queries.card import neuron_card
from queries.neurons import Only, neurons_for_concept, neurons_for_token
from queries.rules import RULES
from queries.session import rankings, resident
from queries.session.session import Session, session_of
from queries.tokens import token_forms
from tests.atlas_factory import D_MLP, N_LAYERS, WORDS

TOKEN_QUESTIONS = [
    {},
    {"limit": 3},
    {"weight": "down_proj"},
    {"sign": -1, "limit": 1},
    {"layer": 1, "sign": 1},
    {"limit": 1000},
]
CONCEPT_QUESTIONS = [
    {},
    {"limit": 4, "only": Only(layer=2)},
    {"only": Only(max_leakage=0.9, min_coverage=0.95)},
    {"only": Only(words=["dog", "cat"]), "limit": 1000},
    {"only": Only(words=["dog"]), "limit": 2, "rule": "low_leakage"},
]


@pytest.fixture
def from_file(small, monkeypatch):
    """The atlas with nothing kept, however often it is asked."""
    monkeypatch.setattr(resident, "_PATIENCE", 10**9)
    monkeypatch.setattr(small, "session", Session(small))
    return small


@pytest.fixture(scope="module")
def from_memory(small):
    with open_atlas(small.path) as atlas:
        session_of(atlas).put("resident", resident.read_resident(atlas))
        for rule in RULES.values():
            for concept_id in range(3):
                key = (0, concept_id, 2.5, rule.order_by)
                session_of(atlas).put(("ranking", *key), rankings.read_ranking(atlas, *key))
        yield atlas


def kept_rankings(atlas):
    """The rankings in memory."""
    names = [item.name for item in session_of(atlas).kept() if item.name.startswith("ranking ")]
    rules = {rule.order_by: rule for rule in RULES.values()}
    keys = [(0, concept_id, 2.5, order_by) for concept_id in range(3) for order_by in rules]
    found = [session_of(atlas).get(("ranking", *key)) for key in keys]
    assert len(names) == len([one for one in found if one is not None])
    return [one for one in found if one is not None]


@pytest.mark.parametrize("options", TOKEN_QUESTIONS)
@pytest.mark.parametrize("words", [["dog"], ["cat", "science", "the"]])
def test_tokens(from_file, from_memory, words, options):
    expected, found = (neurons_for_token(atlas, words, **options) for atlas in (from_file, from_memory))
    assert session_of(from_file).get("resident") is None
    assert found == expected


@pytest.mark.parametrize("options", CONCEPT_QUESTIONS)
@pytest.mark.parametrize("concept", ["sports", "animals"])
def test_concepts(from_file, from_memory, concept, options, monkeypatch):
    monkeypatch.setattr(rankings, "_PATIENCE", 10**9)
    expected, found = (neurons_for_concept(atlas, concept, **options) for atlas in (from_file, from_memory))
    assert not kept_rankings(from_file)
    assert found == expected


@pytest.mark.parametrize("rule", list(RULES))
def test_rules(from_file, from_memory, rule, monkeypatch):
    monkeypatch.setattr(rankings, "_PATIENCE", 10**9)
    expected, found = (neurons_for_concept(atlas, "politics", rule=rule, limit=7) for atlas in (from_file, from_memory))
    assert found == expected


def test_a_ranking_that_is_too_short_leaves_the_question_to_the_file(from_file, monkeypatch):
    expected = neurons_for_concept(from_file, "sports", only=Only(words=["dog"]), limit=1000)
    monkeypatch.setattr(rankings, "LONGEST", 3)
    monkeypatch.setattr(rankings, "_PATIENCE", 0)
    monkeypatch.setattr(resident, "_PATIENCE", 0)
    assert neurons_for_concept(from_file, "sports", only=Only(words=["dog"]), limit=1000) == expected
    (ranking,) = kept_rankings(from_file)
    assert len(ranking.columns["layer"]) == 3 and not ranking.complete


def test_cards_and_forms(from_file, from_memory):
    for layer in range(N_LAYERS):
        for neuron in range(0, D_MLP, 5):
            address = f"L{layer}N{neuron}"
            assert neuron_card(from_memory, address) == neuron_card(from_file, address)
    for words in (["dog", "Science"], ["of"]):
        assert token_forms(from_memory, words) == token_forms(from_file, words)
    for word in (" dog", "."):
        assert token_forms(from_memory, word, exact=True) == token_forms(from_file, word, exact=True)
    with pytest.raises(UnknownNameError, match="unknown token 'wolf'"):
        token_forms(from_memory, "wolf")


def test_a_session_begins_to_keep_after_a_few_questions(small):
    with open_atlas(small.path) as atlas:
        answers = [neurons_for_token(atlas, "dog") for _ in range(4)]
        assert set(session_of(atlas).get("resident").by_text) == set(WORDS)
        answers += [neurons_for_concept(atlas, "sports") for _ in range(4)]
        assert len(kept_rankings(atlas)) == 1
    assert answers[0] == answers[3] and answers[4] == answers[7]
