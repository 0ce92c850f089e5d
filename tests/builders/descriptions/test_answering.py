"""Prompts, what is read from replies, and an author behind an endpoint that a stub plays."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from atlas.endpoint import Endpoint, EndpointError, EndpointName
from atlas.errors import ModelError, UsageError
from atlas.live.loading import load
from builders.descriptions.answering import MOST_NEW_TOKENS, Local, Remote
from builders.descriptions.choice import SIDES, Side
from builders.descriptions.estimate import agree, estimate
from builders.descriptions.evidence import Source
from builders.descriptions.held_out import cases_of
from builders.descriptions.prompts import describing, judged, judging, sentence
from builders.descriptions.score import detection
from tests.atlas_factory import WORDS
from tests.endpoint_stub import Asked, completion, endpoint_stub
from tests.synthetic import make_model

PLANTED, UP = (1, 7), Side("input", 1)
GAMES = ("game", "team", "ball")


def test_a_prompt_holds_nothing_but_exemplars_tokens_and_our_own_words(source: Source) -> None:
    fixed = set()
    for side in SIDES:
        for neuron in (PLANTED, (0, 3)):
            prompt, _ = describing(side, source.of(neuron), source)
            rest = prompt
            for word in sorted(WORDS, key=len, reverse=True):
                rest = re.sub(rf"(?<!\w){re.escape(word.strip())}(?!\w)", "", rest) if word.strip().isalpha() else rest
            fixed.add((side.side, re.sub(r"[^a-z]+", " ", rest.split("\n\n")[0].lower()).strip()))
            assert str(source.atlas.path) not in prompt and "small" not in prompt  # the file, the model, the source
    assert len(fixed) == 2  # the words of ours are the same for every neuron
    marked, _ = describing(UP, source.of(PLANTED), source)
    assert len(re.findall(r"\[\[ (game|team|ball)\]\]", marked)) == 8


def test_where_words_are_not_stored_none_are_sent(wordless: Source) -> None:
    prompt, kinds = describing(UP, wordless.of(PLANTED), wordless)
    assert kinds == ["decodings"] and "[[" not in prompt


@pytest.mark.parametrize(
    ("reply", "due"),
    [
        ("1, 3", [True, False, True]),
        ("Texts 2 and 3.", [False, True, True]),
        ("none", [False] * 3),
        ("None of them", [False] * 3),
        ("", [None] * 3),
        ("I cannot say", [None] * 3),
        ("17, 99", [None] * 3),
        ("0.5", [None] * 3),
        ("2" * 5000, [None] * 3),
        ("\x1b[31m2\x1b[0m", [False, True, False]),
    ],
)
def test_what_a_reply_says_of_texts(reply: str, due: list[bool | None]) -> None:
    assert judged(reply, 3) == due


@pytest.mark.parametrize(
    ("reply", "due"),
    [
        ("  Pets and dogs.\nMore.", "Pets and dogs."),
        ('"Pets."', "Pets."),
        ('Pets: "dog", "cat"', 'Pets: "dog", "cat"'),
        ("\n\n\x1b[2J\x1b[31mred\x07\u202e alert", "red alert"),
        ("\ud800x", "x"),
        ("\x00\n \u200b", ""),
        ("y" * 10**6, "y" * 400),
    ],
)
def test_a_reply_becomes_one_line_that_shows_nothing_odd(reply: str, due: str) -> None:
    assert sentence(reply) == due


def plays(asked: Asked) -> tuple[int, dict[str, str], bytes]:
    """A model that knows about games: it judges by its own reading of the question."""
    (message,) = asked.body["messages"]
    prompt = message["content"]
    if "Answer with their numbers" not in prompt:
        return completion("Games and teams.")
    if "Games" not in prompt.split("\n")[1]:
        return completion("none")
    numbers = [
        line.split(".")[0]
        for line in prompt.split("\n")
        if re.match(r"\d+\. ", line) and any(game in line.split()[-3:] for game in GAMES)
    ]
    return completion(", ".join(numbers) or "none")


def test_an_endpoint_describes_and_judges(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    cases = cases_of(UP, source.of(PLANTED), source)
    with endpoint_stub(plays) as stub:
        author = Remote(Endpoint(EndpointName(stub.url, "m")))
        written = author.describe(UP, source.of(PLANTED), source)
        found = detection(written.text, "Law.", cases, author.judge)
    assert written.text == "Games and teams." and len(written.prompt_sha256) == 64
    # Counted plainly, from the words of the cases.
    hits = [any(word.strip() in GAMES for word in "".join(case.words).split()[-3:]) for case in cases]
    right = {
        fires: [hit for case, hit in zip(cases, hits, strict=True) if case.fires == fires] for fires in (True, False)
    }
    due = (sum(right[True]) / len(right[True]) + 1 - sum(right[False]) / len(right[False])) / 2
    assert found == pytest.approx((due, len(cases), 0.5)) and found.score > 0.8
    assert {asked.path for asked in stub.asked} == {"/v1/chat/completions"}
    assert all(asked.body["max_tokens"] == MOST_NEW_TOKENS and asked.body["temperature"] == 0 for asked in stub.asked)
    calls = estimate([PLANTED], source, scores=True).calls
    assert calls >= len(stub.asked)


@pytest.mark.parametrize("value", [None, "", "\n\x00"])
def test_an_empty_answer_is_no_description(source: Source, value: str | None) -> None:
    with endpoint_stub(lambda asked: completion(value)) as stub:
        author = Remote(Endpoint(EndpointName(stub.url, "m")))
        assert author.describe(UP, source.of(PLANTED), source) is None
        assert author.notes() == ["1 sides are not described: the answer was empty"]


@pytest.mark.parametrize("answer", [{}, [], {"choices": []}, {"choices": [{"message": None}]}, {"choices": 3}, 7, None])
def test_what_is_no_chat_completion_is_met_in_one_line(source: Source, answer: object) -> None:
    with endpoint_stub(lambda asked: (200, {}, json.dumps(answer).encode())) as stub:
        with pytest.raises(EndpointError, match="no chat completion"):
            Remote(Endpoint(EndpointName(stub.url, "m"))).describe(UP, source.of(PLANTED), source)


@pytest.mark.parametrize("content", [5, [], {"a": 1}])
def test_a_completion_that_is_no_text(source: Source, content: object) -> None:
    with endpoint_stub(lambda asked: completion(content)) as stub, pytest.raises(EndpointError, match="no text"):
        Remote(Endpoint(EndpointName(stub.url, "m"))).describe(UP, source.of(PLANTED), source)


def test_judging_is_in_an_order_of_its_own(source: Source) -> None:
    """So that firing texts do not come first."""
    cases = cases_of(UP, source.of(PLANTED), source)
    prompts = []
    with endpoint_stub(
        lambda asked: (prompts.append(asked.body["messages"][0]["content"]), completion("none"))[1]
    ) as stub:
        said = Remote(Endpoint(EndpointName(stub.url, "m"))).judge("x", cases)
    assert said == [False] * len(cases) and len(prompts) == -(-len(cases) // 8)
    assert prompts[0] != judging("x", cases[:8])


def test_nothing_is_spent_unasked(source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    describer = EndpointName("https://endpoint.example/v1", "m")
    found = estimate([PLANTED, (0, 1)], source, scores=True)
    assert found.calls > 8 and found.tokens_in > found.calls and found.tokens_out == found.calls * MOST_NEW_TOKENS
    assert estimate([PLANTED, (0, 1)], source, scores=False).calls == 8
    with pytest.raises(UsageError, match=f"about {found.calls} times"):  # stdin is no terminal here
        agree(describer, found, spend=False)
    agree(describer, found, spend=True)
    assert f"m at endpoint.example will be asked about {found.calls} times" in capsys.readouterr().err


def test_a_local_model_answers_greedily_in_its_chat_template(tmp_path: Path) -> None:
    folder = make_model("llama", tmp_path, max_position_embeddings=128)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{% for message in messages %}My {{ message['content'] }} is{% endfor %}"
    tokenizer.save_pretrained(folder)
    live = load(str(folder), dtype="float32")
    ids = tokenizer("My dog is", add_special_tokens=False, return_tensors="pt").input_ids
    plain = AutoModelForCausalLM.from_pretrained(folder)
    due = plain.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=MOST_NEW_TOKENS, do_sample=False)
    assert Local(live).answer("dog") == tokenizer.decode(due[0], skip_special_tokens=True)[len("My dog is") :]
    live.tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        Local(live).answer("dog")
