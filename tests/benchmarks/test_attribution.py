"""The page on attribution says what was measured, and the bare hooks set neurons to 0 at the last token alone."""

from __future__ import annotations

import pytest
import torch

from atlas.live.loading import load
from atlas.spec.document import Edit
from benchmarks.attribution.main import RULES, page
from benchmarks.attribution.plain import logit_after
from builders.attribution.request import COMPUTED
from tests.atlas.live.plain_edits import a_spec, plain_logits
from tests.synthetic import make_model


def row(best, measured=0.999, named=0.5):
    return {
        "prompt": "a\nb",
        "token": " c",
        "logit": 10.0,
        "together": {rule: 9.0 if rule == best else 1.0 for rule in RULES},
        "said_together": 9.25,
        "measured": measured,
        "named": dict.fromkeys(COMPUTED, named),
        "sample": dict.fromkeys(COMPUTED, 0.99),
    }


def test_the_page_counts_what_the_rows_say():
    text = page("m", [row("joint"), row("joint", measured=0.9), row("direct", named=0.985)])
    assert "removes most in 2 of 3 prompts" in text and "at least 0.9000" in text
    assert "| gradient | 0.990 | 0.990 | 3 | 0.500 | 0.500 | 1 |" in text
    assert text.count("**9.00**") == 3 and "a\\nb" in text


def test_bare_hooks_do_what_other_bare_hooks_do(tmp_path):
    live = load(str(make_model("llama", tmp_path / "llama")), device="cpu")
    ids, neurons = [14, 21, 62, 55], [(0, 3), (2, 5), (2, 7)]
    spec = a_spec(live, *(Edit("mlp_post", layer, n, "set", 0.0) for layer, n in neurons), positions="last")
    expected = float(plain_logits(live, spec, ids, len(ids))[-1, 41])
    assert logit_after(live.model, ids, 41, neurons) == pytest.approx(expected, abs=1e-5)
    with torch.no_grad():
        own = float(live.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1, 41])
    assert logit_after(live.model, ids, 41, []) == pytest.approx(own, abs=1e-6)
