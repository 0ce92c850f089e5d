"""The strict reader of JSON: what two readers could take for two things, under both policies for numbers."""

from __future__ import annotations

import json
import math

import pytest

from atlas.json_text import CHECKED, JsonError, read_json

HONEST = '{"a": [1, -0, 0.0, -0.0, 0e9, 1e308, 5e-324, true, null, "é\\u00e9"], "b": {"a": 123456789012345678}}'
NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-400", "-0.00001e-400", "7" * 61, "-" + "7" * 60)


@pytest.mark.parametrize("numbers", [None, CHECKED])
@pytest.mark.parametrize("content", [HONEST, HONEST.encode()])
def test_honest_texts_are_what_python_makes_of_them(numbers, content):
    assert repr(read_json(content, numbers=numbers)) == repr(json.loads(HONEST))


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_numbers_that_readers_disagree_about_are_refused(number):
    with pytest.raises(JsonError, match=r"^wrong: "):
        read_json(f'{{"a": [{number}]}}')


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_a_reader_who_checks_gets_them_as_floats_and_never_as_zero(number):
    (found,) = read_json(f"[{number}]", numbers=CHECKED)
    assert type(found) is float and found != 0
    if abs(float(number)) > 0 or number == "NaN":
        assert repr(found) == repr(float(number))
    else:
        assert math.copysign(math.ulp(0.0), float(number)) == found


def test_a_million_digits_are_no_work():
    assert read_json("9" * 1_000_000, numbers=CHECKED) == math.inf
    with pytest.raises(JsonError, match="1000000 digits"):
        read_json("9" * 1_000_000)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"a": 1, "\\u0061": 1}', "ambiguous: the field 'a' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ("[1,]", "not JSON: "),
        (b'"\xff"', "not UTF-8 at byte 1"),
        ("", "not JSON: "),
    ],
)
def test_texts_that_are_no_json_say_why_in_one_line(content, why):
    with pytest.raises(JsonError) as error:
        read_json(content)
    assert str(error.value).startswith(why) and "\n" not in str(error.value)


def test_a_field_that_stands_twice_can_be_marked_instead():
    assert read_json('[{"b": 1, "b": 2}]', repeated=lambda name: ("twice", name)) == [("twice", "b")]
