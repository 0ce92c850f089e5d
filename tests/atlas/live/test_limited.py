"""What a stranger's file decides the cost of runs in a limited process: chat templates and older tokenizers."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from atlas.errors import ModelError
from atlas.live import limited
from atlas.live.chat_template import in_chat_template
from atlas.live.loading import load
from atlas.live.prompts import prompt_ids
from atlas.live.tokenizer_limits import check_tokenizer
from atlas.spec.document import Tokenization
from tests.synthetic import make_model, make_tokenizer

HONEST = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | trim }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

STEPS = "tests.atlas.live.limited_steps"


def test_a_step_gives_what_it_would_here():
    assert limited.call("json", "dumps", {"a": ["é", 1.5, None]}) == '{"a": ["\\u00e9", 1.5, null]}'


@pytest.mark.parametrize(
    ("step", "why", "seconds"),
    [
        ("endless", "more than 1 seconds", 1),
        # Their failure must come before the limit of time, also where the machine is busy.
        ("greedy", "it takes too much memory", 60),
        ("wrong", "KeyError: 'line", 60),
        ("panic", "Panic: index out of bounds", 60),
    ],
)
def test_a_step_that_fails_says_why(step, why, seconds):
    with pytest.raises(limited.Failed, match=why) as error:
        limited.call(STEPS, step, None, seconds=seconds)
    assert "\n" not in str(error.value)


def test_memory_is_what_the_caller_says():
    assert limited.call(STEPS, "big", 1 << 29, memory=1 << 30) == 1 << 29
    with pytest.raises(limited.Failed, match="too much memory"):
        limited.call(STEPS, "big", 1 << 29, memory=1 << 28)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        # (a+)+ backtracks for hours on a run of a and one other sign.
        ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}},
         "it takes more than 5 seconds|cannot read a text"),
        ({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": 7}}, "unk_token|string|data did not match"),
    ],
)  # fmt: skip
def test_a_tokenizer_is_tried_in_the_same_process(tmp_path, change, why):
    whole = tmp_path / "tokenizer.json"
    make_tokenizer().save_pretrained(tmp_path)
    check_tokenizer(whole, "tiny")
    whole.write_text(json.dumps({**json.loads(whole.read_text()), **change}))
    with pytest.raises(ModelError, match=f"cannot load the tokenizer of tiny: .*({why})") as error:
        check_tokenizer(whole, "tiny")
    assert "\n" not in str(error.value)


def test_an_honest_template_gives_what_transformers_gives():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = HONEST
    expected = tokenizer.apply_chat_template(
        [{"role": "user", "content": " The dog "}], tokenize=False, add_generation_prompt=True
    )
    assert in_chat_template(tokenizer, " The dog ", "tiny") == expected == "<s><|user|>The dog</s><|assistant|>"


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set x = 'a' * 10**10 %}{{ x }}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{{ raise_exception('no\nsystem role') }}",
        "{{ messages[0].__class__.__mro__ }}",
        "{{ 1 / 0 }}",
        "{% include '/etc/passwd' %}",
        "{{ x.y.z }}",
        "{{ 'unclosed",
        {"other": "{{ 1 }}"},
    ],
)
def test_a_hostile_template_is_one_line(tmp_path, template):
    live = load(str(make_model("llama", tmp_path)), device="cpu")
    live.tokenizer.chat_template = template
    with pytest.raises(ModelError, match=f"the chat template of {live.model_id} does not work") as error:
        prompt_ids(live, Tokenization(False, True), "The dog")
    assert "\n" not in str(error.value) and len(str(error.value)) < 700


def sentencepiece(path: Path, pieces: list[tuple[str, float, int]]) -> None:
    """A tokenizer.model of BPE, field by field as its protocol buffer has them."""

    def number(value: int) -> bytes:
        return bytes([value & 127 | 128]) + number(value >> 7) if value > 127 else bytes([value])

    content = b""
    for text, score, kind in pieces:
        piece = b"\x0a" + number(len(text.encode())) + text.encode() + b"\x15" + struct.pack("<f", score)
        piece += b"\x18" + number(kind)
        content += b"\x0a" + number(len(piece)) + piece
    path.write_bytes(content + b"\x12\x02\x18\x02")


MARKS = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
LETTERS = [(letter, -1.0, 1) for letter in "abcd▁"]


def test_older_files_whose_merges_take_hours_are_refused(tmp_path):
    pytest.importorskip("sentencepiece")
    folder = make_model("llama", tmp_path)
    (folder / "tokenizer.json").unlink()
    sentencepiece(folder / "tokenizer.model", [*MARKS, *LETTERS])
    assert load(str(folder), device="cpu").tokenizer("ab")["input_ids"]
    sentencepiece(folder / "tokenizer.model", [*MARKS, *LETTERS, ("ab" * 150_000, -3.0, 1)])
    with pytest.raises(ModelError, match=r"cannot load the tokenizer of .*: it takes more than 5 seconds"):
        load(str(folder), device="cpu")
