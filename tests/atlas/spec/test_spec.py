"""What a valid spec keeps: canonical form, round trip, hash; and float32 against numpy."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from atlas.errors import SpecError, UsageError
from atlas.ops import OPS
from atlas.schema.make_json_schema import SCHEMA_FILE, schema_text
from atlas.sites import SITES
from atlas.spec.document import Check, Edit, InterventionSpec, ModelReference, Range, Tokenization
from atlas.spec.float32 import FLOAT32_MAX, shortest_float32
from atlas.spec.text import dumps, loads, read_spec, spec_hash, write_spec
from tests.atlas.spec.documents import VALID, put, valid

MODEL = ModelReference(id="m", fingerprint="sha256:" + "0" * 64, n_layers=4, d_model=8, d_mlp=20, gated=True)
PLAIN = Tokenization(add_bos=False, chat_template=False)


def spec(*edits: Edit, **fields: object) -> InterventionSpec:
    return InterventionSpec(**{"model": MODEL, "tokenization": PLAIN, "edits": edits, **fields})


def test_round_trip_of_a_document() -> None:
    read = loads(json.dumps(VALID))
    assert json.loads(dumps(read)) == VALID
    assert loads(dumps(read)) == read
    assert dumps(loads(dumps(read))) == dumps(read)


def test_written_text_is_one_edit_a_line() -> None:
    lines = dumps(loads(json.dumps(VALID))).splitlines()
    assert sum('"site"' in line for line in lines) == len(VALID["edits"])
    assert dumps(loads(json.dumps(VALID))).endswith("}\n")
    assert "fußball" in dumps(loads(json.dumps(VALID)))


def test_edits_are_kept_in_execution_order_whatever_the_order_given() -> None:
    edits = [Edit(site, layer, neuron, "set", 1.0) for site in SITES for layer in (0, 2) for neuron in (1, 4)]
    shuffled = [edits[index] for index in np.random.default_rng(0).permutation(len(edits))]
    assert spec(*shuffled).edits == tuple(edits)
    assert spec(*shuffled, positions=[3, 0]).positions == (0, 3)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("site", SITES)
def test_every_op_at_every_site(op: str, site: str) -> None:
    made = spec(Edit(site, 3, 7, op, 0.5, Range(-1.0, 2.0)))
    assert loads(dumps(made)) == made


def test_python_values_are_checked_like_json() -> None:
    for edit, message in (
        (Edit("mlp_post", True, 0, "set", 0.0), "edits[0].layer: expected an integer, got true"),
        (Edit("mlp_post", 0, 0, "set", float("nan")), "edits[0].value: NaN is not a number"),
        (Edit("mlp_post", 0, 0, "set", 10**5000), "edits[0].value: a huge integer is beyond float32"),
        (Edit("mlp_post", 0, 0, "set", 0.0, Range(2, 1)), "edits[0].when: lower 2.0 > upper 1.0"),
        (Edit("mlp_post", 0, 0, "set", 0j), "edits[0].value: expected a number, got a Python complex"),
    ):
        with pytest.raises(SpecError) as caught:
            spec(edit)
        assert caught.value.message == message
    with pytest.raises(SpecError, match=r"source.x: expected a JSON value, got a Python object"):
        spec(Edit("mlp_post", 0, 0, "set", 0.0), source={"x": object()})


def test_numpy_scalars_become_plain_numbers() -> None:
    made = spec(Edit("mlp_post", np.int64(2), np.uint8(3), "set", np.float32(0.4)), positions=[np.int32(4)])
    assert made.edits[0] == Edit("mlp_post", 2, 3, "set", 0.4)
    assert [type(value) for value in (made.edits[0].layer, made.edits[0].value, made.positions[0])] == [
        int,
        float,
        int,
    ]


def test_source_is_a_copy() -> None:
    source = {"a": [1]}
    made = spec(Edit("mlp_post", 0, 0, "set", 0.0), source=source)
    source["a"].append(2)
    assert made.source == {"a": [1]}
    assert hash(made) == hash(dataclasses.replace(made, source={}))


# --- hash ---


def hash_of(change: object = None) -> str:
    document = valid()
    if change is not None:
        change(document)
    return spec_hash(loads(json.dumps(document)))


@pytest.mark.parametrize(
    "change",
    [
        put("source", {}),
        lambda document: document.pop("source"),
        lambda document: document.pop("check"),
        put("check.logprob_after", [-3.0, -4.0]),
        put("edits.2.value", 20),
        put("edits.1.value", -0.0),
        put("edits.2.when.lower", 0.4000000059604645),
        lambda document: document["edits"].reverse(),
        lambda document: document.update(edits=[dict(reversed(edit.items())) for edit in document["edits"]]),
    ],
)
def test_hash_ignores_what_has_no_effect(change: object) -> None:
    assert hash_of(change) == hash_of()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.id", "other"),
        ("model.fingerprint", "sha256:" + "1" * 64),
        ("model.n_layers", 5),
        ("model.d_model", 9),
        ("model.d_mlp", 21),
        ("model.gated", False),
        ("tokenization.add_bos", True),
        ("tokenization.chat_template", True),
        ("phase", "prompt"),
        ("positions", "all"),
        ("positions", [0]),
        ("edits.1.site", "mlp_pre_linear"),
        ("edits.1.layer", 1),
        ("edits.1.neuron", 6),
        ("edits.1.op", "add"),
        ("edits.1.value", 1e-30),
        ("edits.1.when", {"lower": 0, "upper": 1}),
        ("edits.2.when.lower", 0.40000004),
    ],
)
def test_hash_sees_what_has_an_effect(path: str, value: object) -> None:
    def change(document: dict) -> None:
        put(path, value)(document)
        if path == "model.gated":
            document["edits"][1]["site"] = "mlp_post"

    assert hash_of(change) != hash_of()


def test_hash_is_the_sha256_of_the_canonical_text() -> None:
    """Written out by hand: hashes are stored elsewhere, so the canonical form must never change."""
    canonical = (
        '{"edits":[{"layer":3,"neuron":7,"op":"set","site":"mlp_post","value":20.0,'
        '"when":{"lower":-0.1,"upper":1e-05}}],"format":"neuron-atlas/intervention",'
        '"model":{"d_mlp":20,"d_model":8,"fingerprint":"sha256:' + "0" * 64 + '","gated":true,"id":"m",'
        '"n_layers":4},"phase":"all","positions":[0,2],"tokenization":{"add_bos":false,"chat_template":false},'
        '"version":1}'
    )
    made = spec(Edit("mlp_post", 3, 7, "set", 20, Range(-0.1, 1e-5)), positions=[2, 0], source={"a": 1})
    assert spec_hash(made) == "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


# --- numbers ---


def test_shortest_float32_is_numpys_shortest() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
    usual = rng.normal(0, 3, 20_000).astype(np.float32)
    for number in np.concatenate([bits, usual]):
        if not np.isfinite(number):
            continue
        found = shortest_float32(float(number))
        assert np.float32(found) == number
        if abs(number) >= np.finfo(np.float32).tiny:
            assert len(repr(found).replace("-", "")) <= len(repr(float(str(number))).replace("-", ""))


def test_shortest_float32_at_the_edges() -> None:
    assert shortest_float32(float(np.finfo(np.float32).max)) == FLOAT32_MAX
    assert shortest_float32(0.4000000059604645) == 0.4
    assert str(shortest_float32(-0.0)) == "0.0"
    assert shortest_float32(20) == 20.0
    with pytest.raises(OverflowError):
        shortest_float32(3.5e38)
    made = spec(Edit("mlp_post", 0, 0, "set", FLOAT32_MAX, Range(-FLOAT32_MAX, float(np.finfo(np.float32).max))))
    assert np.float32(loads(dumps(made)).edits[0].when.upper) == np.finfo(np.float32).max


# --- files ---


def test_file_round_trip_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.spec.json"
    path.write_text("old")
    made = loads(json.dumps(VALID))
    write_spec(made, path)
    assert read_spec(path) == made
    assert [file.name for file in tmp_path.iterdir()] == ["a.spec.json"]


def test_file_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot read .*no\.json: No such file"):
        read_spec(tmp_path / "no.json")
    with pytest.raises(SpecError, match=r"cannot read .*: Is a directory"):
        read_spec(tmp_path)
    with pytest.raises(UsageError, match=r"cannot write .*: No such file"):
        write_spec(loads(json.dumps(VALID)), tmp_path / "no" / "a.json")
    (tmp_path / "bad.json").write_text('{"format": 3}')
    with pytest.raises(SpecError, match=r"bad\.json: format: 3 is not 'neuron-atlas/intervention'"):
        read_spec(tmp_path / "bad.json")


def test_check_can_be_added_to_a_spec() -> None:
    made = spec(Edit("mlp_post", 0, 0, "set", 0.0))
    check = Check(prompt_ids=(1,), tokens=(2,), logprob_before=(-1.5,), logprob_after=(-2.5,))
    assert dataclasses.replace(made, check=check).check == check
    assert spec_hash(dataclasses.replace(made, check=check)) == spec_hash(made)


def test_committed_schema_is_the_generated_one() -> None:
    assert SCHEMA_FILE.read_text("utf-8") == schema_text(), "run: python -m atlas.schema.make_json_schema"


def test_schema_names_what_the_tables_name() -> None:
    schema = json.loads(schema_text())
    edit = schema["properties"]["edits"]["items"]["properties"]
    assert edit["site"]["enum"] == list(SITES)
    assert edit["op"]["enum"] == list(OPS)
    assert copy.deepcopy(VALID).keys() == schema["properties"].keys()
