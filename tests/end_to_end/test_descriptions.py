"""Descriptions of a whole build: added to an atlas, by several authors, resumed, and measured against plain hooks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from atlas.__main__ import main
from atlas.endpoint import EndpointError
from atlas.errors import BuildError, QuestionError, UsageError
from atlas.live.sentence_model import SentenceModel
from atlas.store.reader import open_atlas
from atlas.store.verify import checks_of
from builders.build.pipeline import build
from builders.descriptions.forms import named_in
from builders.descriptions.token_change import PROMPTS
from builders.descriptions.work import Describe
from tests.builders.embeddings.test_embedder import write_sentence_model
from tests.end_to_end.workbench import all_rows, built, config, write_corpus
from tests.endpoint_stub import completion, endpoint_stub
from tests.synthetic import make_model

NEURONS = "L2N5,L0N1,L1N9"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def bare(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An atlas without descriptions."""
    folder = tmp_path_factory.mktemp("atlas")
    corpus = write_corpus(folder / "words.jsonl")
    return built(llama, folder / "a.duckdb", corpus, folds=3, permutations=20).read_bytes()


def describe(model: Path, target: Path, neurons: str = NEURONS, **changes: Any) -> Path:
    asked = config(model, target, None, decode=False, describe=neurons, **changes)
    return build(asked, existing="add", interrupted=changes.pop("interrupted", "refuse")).path


@pytest.fixture(scope="module")
def described(llama: Path, bare: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("described") / "a.duckdb"
    path.write_bytes(bare)
    return describe(llama, path)


def rows_of(path: Path, sql: str = "FROM description ORDER BY ALL") -> list[dict[str, Any]]:
    with open_atlas(path) as atlas:
        columns, rows = atlas.query(sql)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def plain_change(model: Path, layer: int, neuron: int, value: float, ids: set[int]) -> float:
    """The mean change of the probability of `ids` after each prompt alone, by a plain hook."""
    live, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)

    def clamp(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        args[0][..., neuron] = value
        return args

    changes = []
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
        with torch.no_grad():
            before = live(inputs).logits[0, -1].double().softmax(-1)
            hook = live.model.layers[layer].mlp.down_proj.register_forward_pre_hook(clamp)
            after = live(inputs).logits[0, -1].double().softmax(-1)
            hook.remove()
        changes.append(float((after - before)[sorted(ids)].sum()))
    return float(np.mean(changes))


def test_every_side_of_every_neuron_is_described_once(described: Path) -> None:
    rows = rows_of(described)
    assert len(rows) == 3 * 4 and {(row["layer"], row["neuron"]) for row in rows} == {(2, 5), (0, 1), (1, 9)}
    assert {(row["author"], row["site"], row["prompt_sha256"]) for row in rows} == {("tokens", "mlp_post", None)}
    assert {check.result for check in checks_of(described)} == {"ok"}
    for row in rows:
        of_text = row["evidence"].split(", ")
        assert set(of_text) <= {"decodings", "intervals"} and row["text"].isprintable()
        if row["side"] == "input":  # there is no running text to measure it on
            assert (row["measure"], row["score"], row["score_n"], row["control"]) == (None,) * 4


def test_token_change_is_that_of_a_plain_hook(llama: Path, described: Path) -> None:
    rows = {(row["layer"], row["neuron"], row["sign"]): row for row in rows_of(described) if row["side"] == "output"}
    vocabulary = {row["token_id"]: row["token"] for row in rows_of(described, "FROM vocab")}
    sql = "SELECT layer, neuron, min(min) AS low, max(max) AS high FROM _background GROUP BY ALL"
    extremes = {(row["layer"], row["neuron"]): (row["low"], row["high"]) for row in rows_of(described, sql)}
    order = [(2, 5), (0, 1), (1, 9)]
    measured = 0
    for (layer, neuron, sign), row in rows.items():
        value = extremes[layer, neuron][sign > 0]
        if value * sign <= 0:
            assert row["score"] is None
            continue
        place = order.index((layer, neuron))
        other = rows[(*order[place - 1 if place else 1], sign)]
        for name, text in (("score", row["text"]), ("control", other["text"])):
            forms = {one for form in named_in(text) for one in (form, form + "s", form.removesuffix("s"))}
            ids = {token for token, text in vocabulary.items() if (text.strip().lower() or text) in forms}
            assert row[name] == pytest.approx(plain_change(llama, layer, neuron, value, ids), abs=2e-6)
            measured += 1
        assert row["measure"] == "token_change" and row["score_n"] == len(PROMPTS)
    assert measured >= 6


def test_a_killed_build_goes_on_with_the_neuron_that_it_was_at(
    llama: Path, bare: bytes, described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.duckdb"
    target.write_bytes(bare)
    run, begun = Describe.run, []

    def run_or_die(self: Describe, unit: str, activations: Any = None) -> Any:
        begun.append(unit)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return run(self, unit, activations)

    monkeypatch.setattr(Describe, "run", run_or_die)
    with pytest.raises(KeyboardInterrupt):
        describe(llama, target)
    assert target.read_bytes() == bare
    asked = config(llama, target, None, decode=False, describe=NEURONS)
    build(asked, existing="add", interrupted="resume")
    assert begun == ["L2N5", "L0N1", "L0N1", "L1N9"]
    sql = "SELECT * EXCLUDE (created_at) FROM description ORDER BY ALL"
    assert rows_of(target, sql) == rows_of(described, sql)


def test_an_author_replaces_what_it_said_of_the_same_neurons_alone(
    llama: Path, described: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.duckdb"
    target.write_bytes(described.read_bytes())
    describe(llama, target, "L0N1", scores=False)
    before, after = rows_of(described), rows_of(target)
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert (old["text"], old["author"]) == (new["text"], new["author"])
        assert (old["created_at"] == new["created_at"]) == ((new["layer"], new["neuron"]) != (0, 1))
        assert new["score"] is None or (new["layer"], new["neuron"]) != (0, 1)
    unchanged = all_rows(described), all_rows(target)
    for name in unchanged[0].keys() - {"description", "_digest", "run", "atlas"}:
        assert unchanged[0][name] == unchanged[1][name], name


def test_descriptions_outlive_what_is_added_later(llama: Path, described: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.duckdb"
    target.write_bytes(described.read_bytes())
    build(config(llama, target, None), existing="add")  # decoded anew
    assert rows_of(target) == rows_of(described)


def test_refusals(llama: Path, described: Path) -> None:
    before = described.read_bytes()
    with pytest.raises(QuestionError, match="no neuron L3N0"):
        describe(llama, described, "L3N0")
    with pytest.raises(UsageError, match="of what an atlas holds already"):
        config(llama, described, None, describe="L0N1")
    with pytest.raises(UsageError, match="no describer"):
        config(llama, described, None, decode=False, describe="L0N1", describer="gpt")
    assert described.read_bytes() == before and not described.with_name("a.duckdb.building").exists()


def test_an_endpoint_stands_beside_the_rules_and_its_key_nowhere(
    llama: Path, described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "sk-secret-in-no-file-0123"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    target = tmp_path / "a.duckdb"
    target.write_bytes(described.read_bytes())
    with endpoint_stub(lambda asked: completion('\x1b[2JPets, as "dog" and "cat".')) as stub:
        asked = {"describer": f"openai:{stub.url}#writer", "requests_per_minute": None}
        with pytest.raises(UsageError, match="nothing was sent"):
            describe(llama, target, "L0N1,L1N9", **asked)
        assert stub.asked == []
        describe(llama, target, "L0N1,L1N9", spend=True, **asked)
    rows = rows_of(target)
    assert [row for row in rows if row["author"] == "tokens"] == rows_of(described)
    written = [row for row in rows if row["author"] == "openai:writer"]
    assert len(written) == 8 == len(stub.asked)
    assert {row["text"] for row in written} == {'Pets, as "dog" and "cat".'}
    assert all(len(row["prompt_sha256"]) == 64 for row in written)
    of_output = [row for row in written if row["side"] == "output" and row["score"] is not None]
    assert of_output and all(row["score"] == row["control"] for row in of_output)  # they say the same
    assert key not in "".join(capfd.readouterr())
    assert key.encode() not in target.read_bytes() and stub.url.encode() not in target.read_bytes()
    (run,) = rows_of(target, "SELECT parameters FROM run ORDER BY run_id DESC LIMIT 1")
    assert json.loads(run["parameters"]) == {"describer": "openai:writer", "neurons": "L0N1,L1N9", "scores": True}


def test_an_endpoint_that_fails_half_way_is_paid_for_the_rest_alone(
    llama: Path, bare: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    target = tmp_path / "a.duckdb"
    target.write_bytes(bare)
    replies = [completion(f"Text {index}.") for index in range(5)]
    with endpoint_stub(lambda asked: replies.pop(0) if replies else (400, {}, b"")) as stub:
        options = {"describer": f"openai:{stub.url}#writer", "spend": True, "scores": False}
        with pytest.raises(EndpointError, match="answers 400"):
            describe(llama, target, "L0N1,L1N9", **options)
        assert target.read_bytes() == bare and len(stub.asked) == 6
        replies += [completion(f"Text {index}.") for index in range(4, 8)]
        asked = config(llama, target, None, decode=False, describe="L0N1,L1N9", **options)
        build(asked, existing="add", interrupted="resume")
    assert len(stub.asked) == 10  # the second neuron anew, the first not
    assert sorted(row["text"] for row in rows_of(target)) == [f"Text {index}." for index in range(8)]


def test_descriptions_are_embedded_and_searched(
    llama: Path, described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By the packaged embedder, in whose place a tiny one stands."""
    monkeypatch.setenv("NEURON_ATLAS_DATA", str(tmp_path))
    write_sentence_model(tmp_path / "models" / "minilm")
    target = tmp_path / "a.duckdb"
    target.write_bytes(described.read_bytes())
    build(config(llama, target, None, decode=False, embed="local:minilm"), existing="add")
    assert {check.result for check in checks_of(target)} == {"ok"}
    texts = {tuple(row.values())[:5]: row["text"] for row in rows_of(target)}
    vectors = {
        tuple(row.values())[:5]: np.frombuffer(row["vector"], "<f2") for row in rows_of(target, "FROM _embedding")
    }
    assert vectors.keys() == texts.keys()
    model = SentenceModel(tmp_path / "models" / "minilm")
    for key, vector in vectors.items():
        due = model.embed([", ".join(named_in(texts[key]))])[0].numpy()
        np.testing.assert_allclose(vector.astype(float), due, atol=1e-3)
    query = model.embed(["dog money"])[0].numpy()
    best = max(vectors, key=lambda key: float(vectors[key].astype(float) @ query))
    capfd.readouterr()
    assert main(["search", "dog money", "-a", str(target), "--format", "json"]) == 0
    (first, *_) = json.loads(capfd.readouterr().out)
    assert (first["layer"], first["neuron"], first["side"], first["sign"]) == best[:4]
    # Neurons that are described anew have no vectors, until they are embedded.
    describe(llama, target, "L0N1", scores=False)
    left = rows_of(target, "SELECT layer, neuron, count(*) AS n FROM _embedding GROUP BY ALL ORDER BY ALL")
    assert [tuple(row.values()) for row in left] == [(1, 9, 4), (2, 5, 4)]
    # Without the embedder, search says so and goes by tokens.
    shutil.rmtree(tmp_path / "models")
    assert main(["search", "dog", "-a", str(target)]) == 0
    said = capfd.readouterr().err
    assert "the embedder minilm is not on this machine yet" in said and "searched by the tokens of dog" in said
    assert main(["search", "dog", "-a", str(target), "--embedder", "openai:http://127.0.0.1:1/v1#m"]) == 2
    assert "was embedded by local:minilm, not by openai:m" in capfd.readouterr().err


def test_nothing_described_nothing_embedded(
    llama: Path, bare: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a.duckdb"
    target.write_bytes(bare)
    with pytest.raises(BuildError, match="nothing is described"):
        build(config(llama, target, None, decode=False, embed="local:minilm"), existing="add")
    assert target.read_bytes() == bare
    assert main(["search", "dog", "-a", str(target)]) == 0
    assert "nothing is embedded in this atlas" in capfd.readouterr().err
