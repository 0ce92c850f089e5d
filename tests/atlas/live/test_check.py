"""The check of a spec: what it stores, what it notices, and the token ids of a prompt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from atlas.errors import ModelError, SpecError, UsageError
from atlas.live.check import verify_check, with_check
from atlas.live.loading import load
from atlas.live.prompts import prompt_ids
from atlas.spec.document import Edit, Tokenization
from atlas.spec.text import dumps, loads
from tests.atlas.live.plain_edits import a_spec, mixed_edits, plain_logits
from tests.synthetic import make_model

PROMPT = "The dog is good and"
CHAT = "{{ bos_token }}{% for m in messages %} user: {{ m.content }}{% endfor %} text:"


def test_a_check_holds_what_plain_hooks_give_and_verifies_itself(live):
    spec = with_check(live, a_spec(live, *mixed_edits(live), positions="last"), PROMPT)
    check, ids = spec.check, live.tokenizer(PROMPT, add_special_tokens=False)["input_ids"]
    assert list(check.prompt_ids) == ids
    before, after = (plain_logits(live, s, ids, len(ids))[-1].log_softmax(-1) for s in (None, spec))
    likeliest = torch.maximum(before, after).argsort(descending=True)[:5]
    assert list(check.tokens) == likeliest.tolist()
    for found, expected in ((check.logprob_before, before), (check.logprob_after, after)):
        torch.testing.assert_close(torch.tensor(found), expected[likeliest], rtol=0, atol=1e-5)
    assert max(abs(a - b) for a, b in zip(check.logprob_before, check.logprob_after, strict=True)) > 0.05
    report = verify_check(live, loads(dumps(spec)))
    assert report.ok and max(report.max_before, report.max_after) < 1e-5 and report.tolerance == 1e-4


@pytest.fixture
def llama(live_of):
    return live_of("llama")


def checked(live, **options):
    return with_check(live, a_spec(live, Edit("mlp_post", 1, 3, "set", 6.0)), PROMPT, **options)


def test_other_numbers_fail_and_the_difference_is_told(llama):
    spec = checked(llama)
    for name in ("before", "after"):
        numbers = list(getattr(spec.check, f"logprob_{name}"))
        numbers[1] -= 0.25
        report = verify_check(llama, replace(spec, check=replace(spec.check, **{f"logprob_{name}": tuple(numbers)})))
        assert not report.ok
        assert getattr(report, f"max_{name}") == pytest.approx(0.25, abs=1e-4)


def test_other_edits_fail_after_but_not_before(llama):
    report = verify_check(llama, replace(checked(llama), edits=(Edit("mlp_post", 1, 3, "set", -6.0),)))
    assert not report.ok and report.max_before < 1e-5 < report.max_after


def test_tokens_can_be_chosen(llama):
    assert checked(llama, tokens=[20, 4]).check.tokens == (20, 4)
    assert len(checked(llama, n_tokens=9).check.tokens) == 9
    for tokens in ([112], [-1], []):
        with pytest.raises(UsageError, match="token"):
            checked(llama, tokens=tokens)


def test_a_spec_without_a_check_or_with_a_foreign_one_is_refused(llama):
    with pytest.raises(SpecError, match=r"no check.*--write-check"):
        verify_check(llama, a_spec(llama, Edit("mlp_post", 1, 3, "set", 6.0)))
    spec = checked(llama)
    for name, ids, said in (
        ("prompt_ids", (5, 112), "no embedding"),
        ("tokens", (1, 2, 3, 4, 112), "112 is outside 0..111"),
        ("prompt_ids", (5,) * 65, "65 tokens"),
    ):
        with pytest.raises(SpecError, match=rf"check\.{name}: .*{said}"):
            verify_check(llama, replace(spec, check=replace(spec.check, **{name: ids})))
    other = replace(spec, model=replace(spec.model, fingerprint="sha256:" + 64 * "0"))
    with pytest.raises(SpecError, match="fingerprint"):
        verify_check(llama, other)
    assert verify_check(llama, other, override_model=True).ok


def test_edits_that_break_the_model_are_an_error(llama):
    spec = a_spec(llama, Edit("resid_post", 1, 0, "set", 3e38), Edit("resid_post", 2, 0, "scale", 3e38))
    with pytest.raises(ModelError, match="not numbers"):
        with_check(llama, spec, PROMPT)


def test_half_precision_gets_a_wider_tolerance(tmp_path):
    live = load(str(make_model("llama", tmp_path)), device="cpu", dtype="bfloat16")
    spec = checked(live)
    assert spec.check.tolerance == 5e-2 and verify_check(live, spec).ok


def test_the_ids_of_a_prompt(tmp_path):
    live = load(str(make_model("llama", tmp_path)), device="cpu")
    dog = prompt_ids(live, Tokenization(False, False), "dog cat")
    assert live.tokenizer.decode(dog) == "dog cat"
    assert prompt_ids(live, Tokenization(True, False), "dog cat") == [2, *dog]
    with pytest.raises(ModelError, match="no chat template"):
        prompt_ids(live, Tokenization(False, True), "dog cat")
    live.tokenizer.chat_template = CHAT
    chat = prompt_ids(live, Tokenization(True, True), "new dog")
    assert chat[0] == 2 and chat.count(2) == 1 and live.tokenizer.decode(chat).endswith("new dog text:")
    for text, said in (("", "no tokens"), ("dog " * 65, "65 tokens|66 tokens|130 tokens")):
        with pytest.raises(UsageError, match=said):
            prompt_ids(live, Tokenization(False, False), text)
    live.tokenizer.bos_token = None
    with pytest.raises(ModelError, match="no beginning-of-sequence"):
        prompt_ids(live, Tokenization(True, False), "dog")
