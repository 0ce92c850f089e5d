"""The model behind the explorer: it answers as the commands and as plain hooks do, and stops when nobody waits."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch

from atlas.__main__ import main
from atlas.answers.jsontext import write as write_json
from atlas.answers.jsontext import write_document
from atlas.errors import ModelError, QuestionError, UsageError
from atlas.live.loading import load
from atlas.spec.text import write_spec
from atlas.store.reader import open_atlas
from builders.config import ConceptSource
from builders.serving import model as serving
from builders.serving.model import ServedModel, load_served
from builders.serving.turns import Left
from queries.specs.make_spec import make_spec
from tests.atlas.live.plain_experts import inputs_of, plain_layer
from tests.end_to_end.workbench import PETS, SPORT, STATE, built
from tests.running_text import add_running_text
from tests.synthetic import make_model

TEXT = "dog reads about money ."
ON_CPU = ["--device", "cpu", "--dtype", "float32"]


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def folder(room: Path) -> Path:
    return make_model("llama", room / "model", add_bos=True)


@pytest.fixture(scope="module")
def path(room: Path, folder: Path) -> Path:
    """An atlas with held-out texts and running text; the names of its concepts are words that the model knows."""
    corpus = room / "words.jsonl"
    named = (("dog", PETS), ("team", SPORT), ("vote", STATE))
    rows = [{"text": text, "concept": name} for name, texts in named for text in texts]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = (ConceptSource(str(corpus), template="{text} is about"),)
    made = built(folder, room / "made.duckdb", corpus, concepts=sources, holdout=0.4, permutations=20)
    add_running_text(made, folder, [*PETS, *SPORT, *STATE], exemplars=False)
    return made


@pytest.fixture(scope="module")
def atlas(path: Path):
    with open_atlas(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def served(folder: Path, atlas) -> ServedModel:
    return load_served(str(folder), [atlas.manifest], device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def plain(folder: Path):
    """The same model, for plain hooks."""
    return load(str(folder), device="cpu", dtype="float32")


def as_json(write, answer, tmp_path: Path):
    with open(tmp_path / "answer.json", "wb") as stream:
        write(answer, stream)
    return json.loads((tmp_path / "answer.json").read_bytes())


@pytest.fixture
def command(capsys, path, folder):
    def call(name, *arguments):
        assert main([name, *arguments, "--format", "json", "--model", str(folder), *ON_CPU]) == 0
        return json.loads(capsys.readouterr().out)

    return call


def test_fires_is_that_of_the_command(served, atlas, path, command, tmp_path):
    found = served.fires(atlas, TEXT, top=4, concept=None, stopped=never)
    assert as_json(write_json, found, tmp_path) == command("fires", TEXT, "--top", "4", "-a", str(path))


def test_explain_is_that_of_the_command(served, atlas, path, command, tmp_path):
    found = served.explain(atlas, "The dog is", token=" good", against=None, top=3, stopped=never)
    options = ["--token", " good", "--top", "3", "--verify", "3", "-a", str(path)]
    assert as_json(write_document, found, tmp_path) == command("explain", "The dog is", *options)


def test_run_is_that_of_the_command_and_its_pieces_make_up_the_texts(served, atlas, command, tmp_path):
    spec = make_spec(atlas, neurons=["L1N3", "L2N4"], op="set=5")
    write_spec(spec, tmp_path / "s.json")
    heard: list[tuple[str, object]] = []
    found = served.run(
        spec, "The dog is", tokens=12, told=lambda what, value: heard.append((what, value)), stopped=never
    )
    expected = command("run", str(tmp_path / "s.json"), "--prompt", "The dog is", "--max-new-tokens", "12")
    assert as_json(write_document, found, tmp_path) == expected
    assert [what for what, _ in itertools.groupby(heard, key=lambda each: each[0])] == ["next_token", "before", "after"]
    assert heard[0][1].rows == found.sections["next_token"].rows
    for what in ("before", "after"):
        pieces = [value for name, value in heard if name == what]
        assert len(pieces) > 1 and "".join(pieces) == expected["generated"][what]


def test_evaluate_is_that_of_the_command_and_keeps_nothing(served, atlas, path, command, tmp_path):
    spec = make_spec(atlas, concept="dog", neurons=["L1N3"], op="set=5", bounds="gaussian")
    write_spec(spec, tmp_path / "s.json")
    heard: list[tuple[str, float]] = []
    few = {"texts": 2, "others": 3, "stopped": never}
    found = served.evaluate(atlas, spec, labels=[], told=lambda what, share: heard.append((what, share)), **few)
    limits = ["--limit-per-concept", "2", "--other-limit", "3", "--no-store", "-a", str(path)]
    plainly = command("evaluate", str(tmp_path / "s.json"), *limits)
    assert as_json(write_json, found, tmp_path) == plainly
    named = served.evaluate(atlas, spec, labels=["dog= cat"], told=lambda *_: None, **few)
    due = command("evaluate", str(tmp_path / "s.json"), "--label", "dog= cat", *limits)
    assert as_json(write_json, named, tmp_path) == due != plainly
    with pytest.raises(UsageError, match="dog"):
        served.evaluate(atlas, spec, labels=["dog"], told=lambda *_: None, **few)
    shares = [share for what, share in heard if what == "classification"]
    assert shares[0] == 0 and shares[-1] == 1 and shares == sorted(shares)
    assert not list(path.parent.glob("*evaluations*"))


def test_one_neuron_on_a_text_against_a_plain_hook(served, plain):
    seen = []
    hook = plain.model.model.layers[1].mlp.down_proj.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    ids = [2, *plain.tokenizer(TEXT, add_special_tokens=False)["input_ids"]]
    with torch.no_grad():
        plain.model(torch.tensor([ids]))
    hook.remove()
    found = served.activations(TEXT, layer=1, neuron=7, site="mlp_post", stopped=never)
    assert found.column("token_id") == ids
    assert found.column("value")[0] is None, "the beginning of the sequence is no text"
    assert found.column("value")[1:] == pytest.approx(seen[0][0, 1:, 7].tolist(), abs=1e-6)
    assert [token.strip() for token in found.column("token")[1:]] == ["dog", "reads", "about", "money", "<unk>", "."]
    with pytest.raises(UsageError, match="has no L1N99"):
        served.activations(TEXT, layer=1, neuron=99, site="mlp_post", stopped=never)


def test_a_neuron_of_an_expert_has_values_on_the_tokens_that_reach_it(room):
    live = load(str(make_model("mixtral", room / "mixtral")), device="cpu", dtype="float32")
    ids = live.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    x_TD = inputs_of(live, torch.tensor([ids]))[1]
    acts = plain_layer(live, 1, x_TD).acts["mlp_post"]
    expert = next(expert for _, expert in acts)
    neuron = expert * live.experts(1).width + 5
    found = ServedModel(live).activations(TEXT, layer=1, neuron=neuron, site="mlp_post", stopped=never)
    expected = [acts[token, expert][5].item() if (token, expert) in acts else None for token in range(len(ids))]
    values = found.column("value")
    assert None in values and any(value is not None for value in values)
    for value, wanted in zip(values, expected, strict=True):
        assert value is wanted if wanted is None else value == pytest.approx(wanted, abs=1e-5)


def test_likely_next_tokens_against_the_model_itself(served, plain):
    ids = [2, *plain.tokenizer("The dog is", add_special_tokens=False)["input_ids"]]
    with torch.no_grad():
        expected_V = plain.model(torch.tensor([ids])).logits[0, -1].softmax(0)
    found = served.next_tokens("The dog is", top=5, stopped=never)
    best = expected_V.topk(5)
    assert found.column("token_id") == best.indices.tolist()
    assert found.column("probability") == pytest.approx(best.values.tolist(), rel=1e-5)


@pytest.mark.parametrize("what", ["fires", "explain", "run", "evaluate", "activations", "next_tokens"])
def test_a_visitor_who_leaves_stops_the_work_and_the_model_is_as_before(served, atlas, what):
    spec = make_spec(atlas, concept="dog", neurons=["L1N3"], op="set=5")
    asked = {
        "fires": lambda stopped: served.fires(atlas, TEXT, top=4, concept=None, stopped=stopped),
        "explain": lambda stopped: served.explain(atlas, TEXT, token=None, against=None, top=3, stopped=stopped),
        "run": lambda stopped: served.run(spec, TEXT, tokens=9, told=lambda *_: None, stopped=stopped),
        "evaluate": lambda stopped: served.evaluate(
            atlas, spec, texts=2, others=3, labels=[], told=lambda *_: None, stopped=stopped
        ),
        "activations": lambda stopped: served.activations(TEXT, layer=2, neuron=1, site="mlp_post", stopped=stopped),
        "next_tokens": lambda stopped: served.next_tokens(TEXT, top=2, stopped=stopped),
    }[what]
    looks = itertools.count()
    with pytest.raises(Left):
        asked(lambda: next(looks) >= 1)
    assert next(looks) <= 3, "no block was computed after the visitor had left"
    assert not any(module._forward_pre_hooks for module in served._live.model.modules())
    assert served.next_tokens("The dog is", top=2, stopped=never).rows  # the next one has a turn


def test_what_takes_too_long_is_ended_with_a_line(served, atlas, monkeypatch):
    spec = make_spec(atlas, concept="dog", neurons=["L1N3"], op="set=5")
    monkeypatch.setattr(serving, "MOST_EVALUATION_S", 0.0)
    with pytest.raises(QuestionError, match="more than 0 s"):
        served.evaluate(atlas, spec, texts=2, others=3, labels=[], told=lambda *_: None, stopped=never)


def test_another_model_is_refused_in_a_line(room, atlas):
    other = make_model("llama", room / "other", seed=1)
    with pytest.raises(ModelError, match="is not the model of the atlas"):
        load_served(str(other), [atlas.manifest], device="cpu")


def test_the_pages_show_what_it_answers(served, path):
    """The explorer with this model behind it, instead of the stub that its own tests use."""
    pytest.importorskip("starlette", reason="the extra web is not installed")
    from starlette.testclient import TestClient

    from queries.web.app import make_app
    from queries.web.served import open_all

    opened = open_all([path], 2**24)
    try:
        with TestClient(make_app(opened, live=served), base_url="http://localhost") as visitor:
            text = visitor.get("/made/live", params={"text": TEXT, "neuron": "L1N7", "top": 2}).text
            values = served.activations(TEXT, layer=1, neuron=7, site="mlp_post", stopped=never).column("value")
            assert len(text.split('data-value="')) - 1 == len(values)
            assert text.count(">shade</a>") == 2 * sum(value is not None for value in values)
            told = visitor.get("/made/explain?prompt=The dog is&top=3").text
            assert "Put them into a spec" in told and "wrong" not in told
            query = "concept=dog&by=neurons&neuron=L1N3&value=5&bounds=gaussian&op=set&texts=2&others=3"
            ran = visitor.get(f"/made/run.events?{query}&prompt=The dog is&tokens=3").text
            assert "event: before" in ran and "event: after" in ran and ran.rstrip().endswith("event: done\ndata: null")
            scored = visitor.get(f"/made/evaluate.events?{query}").text
            assert "event: table" in scored and "inside the range" in scored and "event: wrong" not in scored
    finally:
        for each in opened:
            each.close()
