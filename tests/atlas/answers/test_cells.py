from __future__ import annotations

import datetime as dt

import pytest

from atlas.answers.cells import cell, number, quoted


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.000"),
        (0.94117647, "0.9412"),
        (12.3456, "12.35"),
        (-5.9326, "-5.933"),
        (8279.6, "8280"),
        (123456.7, "123457"),
        (0.00012, "0.0001"),
        (9.9e-05, "9.9e-05"),
        (2.5e7, "2.5e+07"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (0.99999, "1.0000"),
    ],
)
def test_numbers_have_four_digits(value, text):
    assert number(value) == text


def test_tokens_are_quoted_by_their_column():
    assert cell("token", "dog") == '"dog"'
    assert cell("concept", "dog") == "dog"
    assert cell("tokens", [" a", "b"]) == '" a" "b"'
    assert cell("anything", " padded") == '" padded"'


def test_other_values():
    assert cell("x", None) == ""
    assert cell("x", True) == "yes"
    assert cell("x", 12) == "12"
    assert cell("taus", [2.5, 3.0]) == "2.500 3.000"
    assert cell("x", dt.datetime(2025, 1, 2, 3, 4, 5)) == "2025-01-02 03:04:05"


def test_quoting_escapes_what_a_terminal_would_obey():
    assert quoted("a\tb\x07\x9b\u202e") == '"a\\tb\\x07\\x9b\\u202e"'
    assert quoted('"\\') == '"\\"\\\\"'
