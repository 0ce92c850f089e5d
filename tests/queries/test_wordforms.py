from __future__ import annotations

import pytest

from queries.wordforms import word_forms


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("dog", {"dog", "dogs"}),
        (" Dogs ", {"dogs", "dog"}),
        ("city", {"city", "cities"}),
        ("cities", {"cities", "city"}),
        ("day", {"day", "days"}),
        ("box", {"box", "boxes"}),
        ("boxes", {"boxes", "box"}),
        ("hero", {"hero", "heroes", "heros"}),
        ("houses", {"houses", "house"}),
        ("bus", {"bus", "buses"}),
        ("France", {"france", "frances"}),
    ],
)
def test_forms_hold_singular_and_plural(word, forms):
    assert forms <= set(word_forms(word))
    assert word_forms(word)[0] == word.strip().lower()


@pytest.mark.parametrize(
    ("word", "wrong"),
    [
        ("news", "new"),
        ("new", "news"),
        ("glass", "glas"),
        ("politics", "politic"),
        ("this", "thi"),
        ("is", "i"),
        ("virus", "viru"),
        ("hi", "his"),
        ("as", "a"),
    ],
)
def test_what_is_no_plural_stays_apart(word, wrong):
    assert wrong not in word_forms(word)


def test_numbers_and_signs_have_one_form():
    assert word_forms("2024s") == ["2024s"]
    assert word_forms("$") == ["$"]
    assert word_forms("日本語") == ["日本語", "日本語s"]
