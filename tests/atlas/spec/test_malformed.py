"""Malformed documents: one precise line each, and the JSON Schema agrees wherever it can."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import atlas.schema
from atlas.errors import SpecError
from atlas.spec.text import loads
from tests.atlas.spec.documents import SPOILED, Spoiled, put, valid

SCHEMA = json.loads((Path(atlas.schema.__file__).parent / "intervention.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def message_of(content: str | bytes) -> str:
    with pytest.raises(SpecError) as caught:
        loads(content)
    assert "\n" not in caught.value.message and len(caught.value.message) < 250
    return caught.value.message


@pytest.mark.parametrize("case", SPOILED.values(), ids=list(SPOILED))
def test_message_and_schema(case: Spoiled) -> None:
    document = valid()
    case.change(document)
    assert message_of(json.dumps(document)) == case.message
    assert VALIDATOR.is_valid(json.loads(json.dumps(document))) is not case.schema


@pytest.mark.parametrize(
    ("path", "value", "hint"),
    [
        ("edits.0.site", "mlp_pots", "Did you mean mlp_post"),
        ("edits.0.op", "sett", "Did you mean set"),
        ("phase", "promt", "Did you mean prompt"),
        ("edits.2.when.uper", 1, "Did you mean upper"),
        ("edtis", [], "Did you mean edits"),
        ("version", 2, "Another version"),
    ],
)
def test_hint_suggests(path: str, value: object, hint: str) -> None:
    document = valid()
    put(path, value)(document)
    with pytest.raises(SpecError) as caught:
        loads(json.dumps(document))
    assert hint in caught.value.hint


def test_valid_document_passes_both() -> None:
    VALIDATOR.validate(valid())
    loads(json.dumps(valid()))
    del (plain := valid())["check"], plain["source"]
    VALIDATOR.validate(plain)
    loads(json.dumps(plain))


def text_with(old: str, new: str) -> str:
    text = json.dumps(valid())
    assert text.count(old) >= 1
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON: Expecting value at line 1 column 1"),
        ("{", "not JSON: Expecting property name enclosed in double quotes at line 1 column 2"),
        ('{"format": }', "not JSON: Expecting value at line 1 column 12"),
        (json.dumps(valid()) + "x", f"not JSON: Extra data at line 1 column {len(json.dumps(valid())) + 1}"),
        ("[]", "expected a JSON object, got a list"),
        ("null", "expected a JSON object, got null"),
        ("NaN", "expected a JSON object, got nan"),
        (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
        (json.dumps(valid()).encode("utf-16"), "not UTF-8 at byte 0"),
        (b'{"format": "\xff"}', "not UTF-8 at byte 12"),
        (b"\x00\x01", "not JSON: Expecting value at line 1 column 1"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        (text_with('"value": 20.0', '"value": NaN'), "edits[2].value: NaN is not a number"),
        (text_with('"value": 20.0', '"value": Infinity'), "edits[2].value: inf is beyond float32"),
        (text_with('"value": 20.0', '"value": -1e999'), "edits[2].value: -inf is beyond float32"),
        (text_with('"layer": 3', '"layer": ' + "9" * 5000), "edits[0].layer: expected an integer, got inf"),
        (text_with('"lower": 0.4', '"lower": NaN'), "edits[2].when.lower: NaN is not a number"),
        (text_with('"x": 2.5', '"x": NaN'), "source.nested[2].x: nan is not a JSON number"),
        (text_with('"op": "add"', '"op": "add", "op": "set"'), "edits[0]: the field 'op' stands twice"),
        (text_with('"phase": "all"', '"phase": "all", "phase": "all"'), "the field 'phase' stands twice"),
        (text_with('"x": 2.5', '"x": 2.5, "x": 2'), "source.nested[2]: the field 'x' stands twice"),
        (
            text_with('"some/model"', '"\\ud800"'),
            "model.id: '\\ud800' holds a character that cannot be printed",
        ),
        (text_with('"a1"', '"\\ud800"'), "source.atlas_id: character 0 is half of a surrogate pair"),
        (text_with('"a1"', '"' + "x" * 10 + "\n" + '"'), "not JSON: Invalid control character at"),
        (text_with('"phase"', '"pha\\u001b[31mse"'), "unknown field 'pha\\x1b[31mse'"),
    ],
)
def test_hostile_text(content: str | bytes, message: str) -> None:
    found = message_of(content)
    assert found.startswith(message) if "control character" in message else found == message


def many_edits(count: int) -> str:
    document = valid()
    document["model"]["d_mlp"] = 10**6
    edits = document.pop("edits")[:1] + [
        {"site": "mlp_post", "layer": 0, "neuron": neuron, "op": "set", "value": 0} for neuron in range(count - 1)
    ]
    return json.dumps({**document, "edits": edits})


def test_a_million_edits_are_refused_with_the_limit() -> None:
    assert message_of(many_edits(10**6)) == "edits: 1000000 in the list, at most 500000 are allowed"


def test_more_than_a_spec_can_hold_is_refused_before_it_is_built() -> None:
    assert message_of("[" + "[]," * 2_000_000 + "[]]").startswith("more than 1020000 lists and objects")
    assert message_of(b" " * (96 * 2**20 + 1)) == "larger than 96 MiB, which is room for 500000 edits"


def test_ten_thousand_edits_pass() -> None:
    assert len(loads(many_edits(10_000)).edits) == 10_000
