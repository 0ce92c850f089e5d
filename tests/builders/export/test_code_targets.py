"""Each emitted file, run by its real library, against `intervene` and against hooks that know no table."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from transformers import DynamicCache

from atlas.live.batching import encode
from atlas.live.intervene import intervene
from atlas.spec.document import Edit
from tests import warm
from tests.architecture.imports import ROOT
from tests.atlas.live.conftest import VARIANTS
from tests.builders.export import reference
from tests.builders.export.runners import RUNNERS, Hooks
from tests.builders.export.specs import KINDS, ONE_SIDED, PROMPT, WHICH, everything, spec_of

TEXTS = [PROMPT, "my favourite animal", "A new text about science and money"]


@pytest.fixture(params=RUNNERS, ids=lambda runner: runner.target)
def runner_class(request):
    return request.param


def ids_of(live, text=PROMPT):
    return encode(live, [text], "{text}", 64).input_ids[0]


def with_intervene(live, spec, ids, **mask):
    with torch.no_grad(), intervene(live, spec):
        return live.model(input_ids=ids, **mask).logits.log_softmax(-1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_family(runner_class, variant, live_of, emitted):
    live = live_of(variant)
    runner, ids = runner_class(live), ids_of(live)
    spec = spec_of(live, everything(live), positions=(0, 2, 4))
    found = runner.forward(emitted(runner.target, live, spec), torch.tensor([ids]))[0]
    assert torch.allclose(found, reference.logprobs(live, spec, ids), atol=1e-4, rtol=0)
    assert torch.allclose(found, with_intervene(live, spec, torch.tensor([ids]))[0], atol=1e-4, rtol=0)
    assert not torch.allclose(found, reference.logprobs(live, None, ids), atol=0.1)


def test_every_op_site_and_range_by_itself(runner_class, live_of, emitted):
    live = live_of("llama")
    runner, ids = runner_class(live), ids_of(live)
    without = reference.logprobs(live, None, ids)
    for site in live.sites():
        for op, value, when in (*KINDS, *ONE_SIDED):
            spec = spec_of(live, [Edit(site, 1, neuron, op, value, when) for neuron in (1, 4, 7, 12)])
            found = runner.forward(emitted(runner.target, live, spec), torch.tensor([ids]))[0]
            expected = reference.logprobs(live, spec, ids)
            assert torch.allclose(found, expected, atol=1e-4, rtol=0), (site, op, when)
            assert not torch.allclose(found, without, atol=1e-3), (site, op, when)


@pytest.mark.parametrize(("positions", "phase"), WHICH)
def test_every_position_and_phase(runner_class, positions, phase, live_of, emitted):
    live = live_of("llama")
    runner, ids = runner_class(live), ids_of(live)
    spec = spec_of(live, everything(live), positions, phase)
    module = emitted(runner.target, live, spec)
    found = runner.forward(module, torch.tensor([ids]))[0]
    assert torch.allclose(found, reference.logprobs(live, spec, ids), atol=1e-4, rtol=0)
    generated = runner.generate(module, torch.tensor([ids]), 4)[0].tolist()
    assert generated == reference.greedy(live, spec, ids, 4)
    with intervene(live, spec):
        ours = live.model.generate(torch.tensor([ids]), max_new_tokens=4, do_sample=False)
    assert generated == ours[0].tolist()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_never_edited(runner_class, side, live_of, emitted):
    live = live_of("llama")
    runner, rows = runner_class(live), [ids_of(live, text) for text in TEXTS]
    longest = max(map(len, rows))
    padding = [[1] * (longest - len(row)) for row in rows]
    pairs = [(pad, row) if side == "left" else (row, pad) for pad, row in zip(padding, rows, strict=True)]
    ids = torch.tensor([first + second for first, second in pairs])
    real = [[0 if token == 1 else 1 for token in row] for row in ids.tolist()]  # 1 is <pad>
    mask = torch.tensor(real)
    for positions in ("all", "last", (0, 2)):
        spec = spec_of(live, everything(live), positions)
        found = runner.forward(emitted(runner.target, live, spec), ids, attention_mask=mask)
        for row, one, kept in zip(rows, found, mask.bool(), strict=True):
            assert torch.allclose(one[kept], reference.logprobs(live, spec, row), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("positions", "phase"), [("last", "all"), ((1, 6), "all"), ("all", "generated")])
def test_a_padded_batch_generates_as_its_rows_do(runner_class, positions, phase, live_of, emitted):
    live = live_of("llama")
    runner, rows = runner_class(live), [ids_of(live, text) for text in TEXTS[:2]]
    spec = spec_of(live, everything(live), positions, phase)
    n_pad = len(rows[0]) - len(rows[1])
    ids = torch.tensor([rows[0], [1] * n_pad + rows[1]])
    mask = torch.tensor([[1] * len(rows[0]), [0] * n_pad + [1] * len(rows[1])])
    found = runner.generate(emitted(runner.target, live, spec), ids, 4, attention_mask=mask)
    assert found[0].tolist() == reference.greedy(live, spec, rows[0], 4)
    assert found[1, n_pad:].tolist() == reference.greedy(live, spec, rows[1], 4)


def test_hooks_without_a_cache_with_beams_and_by_hand(live_of, emitted):
    live = live_of("llama")
    ids = torch.tensor([ids_of(live)])
    spec = spec_of(live, everything(live), "last", "generated")
    module = emitted("hooks", live, spec)
    options = {"max_new_tokens": 4, "do_sample": False}
    expected = reference.greedy(live, spec, ids[0].tolist(), 4)
    with module.apply(live.model):
        assert live.model.generate(ids, use_cache=False, **options)[0].tolist() == expected
        beams = live.model.generate(ids, num_beams=3, num_return_sequences=2, **options)
    with intervene(live, spec):
        assert torch.equal(beams, live.model.generate(ids, num_beams=3, num_return_sequences=2, **options))
    text = torch.tensor([expected])
    with torch.no_grad(), module.apply(live.model, prompt_lengths=ids.shape[1]):
        found = live.model(input_ids=text).logits[0].log_softmax(-1)
    expected = reference.logprobs(live, spec, text[0].tolist(), ids.shape[1])
    assert torch.allclose(found, expected, atol=1e-4, rtol=0)


def test_nothing_stays_behind(live_of, emitted):
    live = live_of("llama")
    ids = torch.tensor([ids_of(live)])
    module = emitted("hooks", live, spec_of(live, everything(live)))
    with torch.no_grad():
        before = live.model(input_ids=ids).logits
        with pytest.raises(KeyError), module.apply(live.model):
            raise KeyError
        assert torch.equal(live.model(input_ids=ids).logits, before)
    assert "generate" not in vars(live.model)


def test_the_fwd_hooks_list_of_transformer_lens(live_of, emitted):
    runner_class = RUNNERS[1]
    live = live_of("llama")
    ids = ids_of(live)
    spec = spec_of(live, everything(live), "last", "prompt")
    hooks = emitted("transformer_lens", live, spec).fwd_hooks()
    with torch.no_grad():
        logits = runner_class(live).model.run_with_hooks(torch.tensor([ids]), fwd_hooks=hooks)
    assert torch.allclose(logits[0].log_softmax(-1), reference.logprobs(live, spec, ids), atol=1e-4, rtol=0)


def test_thousands_of_edits_are_one_hook_and_read_well(live_of, emitted):
    live = live_of("llama")
    edits = [Edit("mlp_post", layer, n, "damp", 0.5, KINDS[6][2]) for layer in range(3) for n in range(live.d_mlp)]
    module = emitted("hooks", live, spec_of(live, edits))
    assert len(module.TAPS) == 3
    assert module.verify(live.model)["ok"]
    assert max(map(len, open(module.__file__, encoding="utf-8").read().splitlines())) <= 120


def test_verify_sees_another_model_and_another_effect(live_of, emitted):
    live = live_of("llama")
    module = emitted("hooks", live, spec_of(live, [Edit("mlp_post", 1, 3, "set", 4.0)]))
    assert module.verify(live.model)["ok"]
    same = live_of("mistral").weights_fingerprint == live.weights_fingerprint  # and the same is computed of them
    assert module.verify(live_of("mistral").model)["ok"] is same
    assert not module.verify(live_of("qwen3").model)["ok"]
    module.TAPS[0]["edits"][0]["value"] = 4.1
    report = module.verify(live.model)
    assert report["before"] <= 1e-4 < report["after"] and not report["ok"]


@pytest.mark.parametrize("phase", ["all", "generated"])
def test_verify_generates(runner_class, phase, live_of, emitted):
    live = live_of("llama")
    runner = runner_class(live)
    module = emitted(runner.target, live, spec_of(live, everything(live), "all", phase))
    report = module.verify(runner.model)
    assert report["ok"] and report["generation"]["uncached"] is True
    cached = report["generation"]["cached"]
    assert cached is True or (getattr(runner, "loses_the_cache", False) and "the attention mask has" in cached)


def test_verify_sees_a_cache_that_forgets(live_of, emitted, monkeypatch):
    live = live_of("llama")
    module = emitted("hooks", live, spec_of(live, everything(live)))
    update = DynamicCache.update

    def forgetful(self, key_states, value_states, *args, **kwargs):
        keys, values = update(self, key_states, value_states, *args, **kwargs)
        old = keys.shape[-2] - key_states.shape[-2]
        keys, values = keys.clone(), values.clone()
        keys[..., :old, :], values[..., :old, :] = 0, 0
        return keys, values

    monkeypatch.setattr(DynamicCache, "update", forgetful)
    report = module.verify(live.model)
    assert report["generation"] == {"without_cache": "use_cache=False", "cached": False, "uncached": True}
    assert report["ok"]


def test_no_text_of_a_spec_becomes_code(live_of, tmp_path):
    from dataclasses import replace

    from builders.export.code.hooks import write
    from builders.export.export import places_of

    live = live_of("llama")
    spec = spec_of(live, [Edit("mlp_post", 1, 3, "set", 4.0)])
    spec = replace(spec, model=replace(spec.model, id="\"\"\"; raise SystemExit(7); ''' \\"))
    path = tmp_path / "hostile.py"
    path.write_text(write(spec, places_of(live)), encoding="utf-8")
    run = warm.run(["-I", "-c", f"import runpy; runpy.run_path({str(path)!r})"])
    assert run.returncode == 0, run.stderr


def test_emitted_code_is_clean(runner_class, live_of, emitted):
    live = live_of("llama")
    module = emitted(runner_class.target, live, spec_of(live, everything(live)))
    options = ["--isolated", "--line-length", "120", "--select", "E,F,W,B,UP,RUF"]
    command = [sys.executable, "-m", "ruff", "check", *options, module.__file__]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout


def test_a_pass_that_avoids_a_tap_is_an_error(live_of, emitted):
    live = live_of("llama")
    module = emitted(Hooks.target, live, spec_of(live, [Edit("mlp_post", 1, 3, "set", 4.0)]))
    block = live.model.model.layers[1]
    forward = block.forward
    block.forward = lambda hidden_states, **kwargs: hidden_states
    try:
        with pytest.raises(RuntimeError, match=r"never through model\.layers\.1\.mlp\.down_proj"):
            with module.apply(live.model), torch.no_grad():
                live.model(input_ids=torch.tensor([ids_of(live)]))
    finally:
        block.forward = forward
