from __future__ import annotations

import shlex

import pytest

from atlas.errors import UnknownNameError, UsageError
from queries.neurons import neurons_for_concept, neurons_for_token
from queries.tokens import token_forms, token_ids


def test_a_word_stands_for_its_forms(small):
    assert set(token_forms(small, "dog").column("token")) == {"dog", " dog", " Dogs", "dogs"}
    assert set(token_forms(small, "DOGS").column("token")) == {"dog", " dog", " Dogs", "dogs"}
    assert set(token_forms(small, "cats").column("token")) == {" cat", "cat", " cats"}


def test_several_words(small):
    forms = token_forms(small, ["science", "money", "science"])
    assert forms.columns == ["word", "token_id", "token"]
    assert [(row["word"], row["token"]) for row in forms] == [
        ("science", " science"),
        ("science", "Science"),
        ("money", " money"),
    ]


def test_exact_takes_the_text_to_the_letter(small):
    assert token_forms(small, " dog", exact=True).column("token") == [" dog"]
    assert token_forms(small, "\n", exact=True).column("token") == ["\n"]
    with pytest.raises(UnknownNameError):
        token_forms(small, "DOG", exact=True)


def test_a_token_that_two_words_share_counts_once(small):
    assert len(token_ids(small, ["dog", "dogs"])) == 4


def test_an_unknown_word_suggests_near_ones(small):
    with pytest.raises(UnknownNameError) as caught:
        token_forms(small, "scienca")
    assert "science" in caught.value.hint
    with pytest.raises(UnknownNameError):
        token_forms(small, ["dog", "zyzzyva"])


@pytest.mark.parametrize("words", [[], "", "  ", ["dog", ""]])
def test_no_word_is_a_usage_error(small, words):
    with pytest.raises(UsageError):
        token_forms(small, words)


def test_sql_in_a_word_is_only_a_word(small):
    with pytest.raises(UnknownNameError):
        token_forms(small, "'; DROP TABLE vocab; --")


def test_a_word_like_no_token_gets_a_plain_hint(small):
    with pytest.raises(UnknownNameError) as caught:
        token_forms(small, "x" * 500)
    assert "no single token" in caught.value.hint and len(caught.value.message) < 100


@pytest.mark.parametrize("limit", [0, -5, 2**31, 10**30])
def test_limits_out_of_range(small, limit):
    with pytest.raises(UsageError, match="out of range"):
        neurons_for_token(small, "dog", limit=limit)
    with pytest.raises(UsageError, match="out of range"):
        neurons_for_concept(small, "sports", limit=limit)


@pytest.mark.parametrize(
    ("phrase", "exact", "command"),
    [
        ("Money dog", False, "its parts together: token Money dog"),
        ("cat-dog", False, "its parts together: token cat dog"),
        ("dog dog cat", False, "its parts together: token dog cat"),
        ("dog zyzzyva", False, "those of its parts that have tokens: token dog"),
        ("cat dog", True, "its parts together: token --exact cat ' dog'"),
    ],
)
def test_several_words_as_one_are_offered_in_parts_that_work(small, phrase, exact, command):
    with pytest.raises(UnknownNameError) as caught:
        token_forms(small, phrase, exact=exact)
    assert repr(phrase) in caught.value.message
    assert caught.value.hint == f"No single token holds it all; ask for {command}"
    offered = shlex.split(command.partition(": token ")[2])
    assert token_forms(small, [part for part in offered if part != "--exact"], exact=exact).rows


def test_parts_without_any_token_and_very_many_of_them(small):
    with pytest.raises(UnknownNameError, match="unknown token 'zyzzyva qwxz'") as caught:
        token_forms(small, "zyzzyva qwxz")
    assert "parts" not in caught.value.hint
    with pytest.raises(UnknownNameError) as caught:
        token_forms(small, " ".join(["dog", *map(str, range(1000))]))
    assert caught.value.hint.endswith("token dog")
