from __future__ import annotations

import datetime as dt
import decimal

import pytest

from atlas.answers.cells import cell, number, plain, quoted


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
        (0.03125, "0.0312"),
        (0.00841, "0.0084"),
        (0.00081234, "0.00081"),
        (-0.00099996, "-0.00100"),
        (0.00012, "0.00012"),
        (9.9e-05, "9.9e-05"),
        (2.5e7, "2.5e+07"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (0.99999, "1.0000"),
    ],
)
def test_numbers_have_four_digits(value, text):
    assert number(value) == text


def test_a_small_number_never_loses_its_digits():
    for exponent in range(-12, 0):
        for leading in (1.04, 2.5, 9.7):
            value = leading * 10.0**exponent
            assert abs(float(number(value)) - value) <= 0.05 * value, value


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


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("-" * 22, '"' + "-" * 22 + '"'),
        ("-" * 23, '"' + "-" * 21 + '…"'),
        (" " * 90, '"' + " " * 21 + '…"'),
        ("日" * 11, '"' + "日" * 11 + '"'),
        ("日" * 12, '"' + "日" * 10 + '…"'),  # 20 columns and the ellipsis; half a character is none
        ("\x1b" * 6, '"' + "\\x1b" * 5 + '…"'),  # no half of an escape either
        ("e\u0301", '"e\\u0301"'),
        ("é", '"é"'),
        ("👨\u200d👩", '"👨\\u200d👩"'),
        ("🇩🇪", '"\\U0001f1e9\\U0001f1ea"'),
        ("☺\ufe0f", '"☺\\ufe0f"'),
        ("של", '"\\u05e9\\u05dc"'),
        ("\ue000", '"\\ue000"'),
        ("\u00a0\u3000", '"\\xa0\\u3000"'),
        ("\ud800", '"\\ud800"'),
        ("\u212b", '"\\u212b"'),  # the angstrom sign, which looks like Å
        ("wait…", '"wait\\u2026"'),  # its own ellipsis, not ours
        ("…wait", '"…wait"'),
        ("", '""'),
    ],
)
def test_a_token_reads_the_same_in_every_terminal(token, text):
    assert cell("token", token) == text
    assert cell("reads", [token, token]) == f"{text} {text}"


def test_a_text_is_cut_at_eighty_columns_and_a_number_never():
    assert cell("x", "a" * 80) == "a" * 80
    assert cell("x", "a" * 81) == "a" * 79 + "…"
    assert cell("x", "日" * 41) == "日" * 39 + "…"
    assert cell("x", "\t" + "a" * 90) == '"\\t' + "a" * 75 + '…"'
    assert cell("x", 10**100) == "1" + "0" * 100
    assert cell("x", decimal.Decimal("1." + "0" * 100)) == "1." + "0" * 100
    assert cell("counts", list(range(100)))[-10:] == "80 81 82 …"
    assert cell("tokens", ["-" * 30] * 100) == " ".join(['"' + "-" * 21 + '…"'] * 39 + ["…"])


def test_no_text_is_taken_for_another_that_is_quoted_or_cut():
    for text, shown in ((r'"\n"', r'"\"\\n\""'), ("\n", r'"\n"'), (r"\n", r"\n"), ("a…", r'"a\u2026"'), (" a", '" a"')):
        assert cell("x", text) == plain(text) == shown


def test_what_is_said_of_a_token_is_not_cut():
    assert quoted("-" * 300) == '"' + "-" * 300 + '"'
