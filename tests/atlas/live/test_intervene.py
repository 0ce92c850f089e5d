"""Edits against plain hooks: every family, op, site, range, position and phase, in passes and in generation."""

from __future__ import annotations

import pytest
import torch

from atlas.live.intervene import intervene
from atlas.ops import OPS
from atlas.sites import SITES
from atlas.spec.document import Edit, Range
from tests.atlas.live.plain_edits import a_spec, mixed_edits, plain_edits, plain_logits

LONG, SHORT = [14, 21, 49, 4, 26], [30, 22, 9]
PAD, N_NEW = 1, 5
POSITIONS = ["all", "last", (0, 2, 4, 6)]
PHASES = ["all", "prompt", "generated"]


def padded(rows, side):
    width = max(map(len, rows))
    filled = [[PAD] * (width - len(row)) + row if side == "left" else row + [PAD] * (width - len(row)) for row in rows]
    masks = [[int(token != PAD) for token in row] for row in filled]
    return {"input_ids": torch.tensor(filled), "attention_mask": torch.tensor(masks)}


def generated(live, inputs, **options):
    """(new ids [rows, new], logits [rows, new, d_vocab]) of a greedy generation that never stops early."""
    n_new = options.pop("max_new_tokens", N_NEW)
    out = live.model.generate(
        **inputs,
        max_new_tokens=n_new,
        min_new_tokens=n_new,
        return_dict_in_generate=True,
        output_logits=True,
        pad_token_id=PAD,
        **{"do_sample": False, **options},
    )
    return out.sequences[:, -n_new:], torch.stack(out.logits, 1)


def plain_generation(live, spec, ids):
    with plain_edits(live, spec, len(ids)):
        new, logits = generated(live, {"input_ids": torch.tensor([ids])}, use_cache=False)
    return new[0], logits[0]


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)


def positions_for(inputs, live):
    """Positions of left-padded rows; families with rotary or learned positions take them alike."""
    return (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)


def check_generation(live, positions, phase):
    spec = a_spec(live, *mixed_edits(live), positions=positions, phase=phase)
    expected = [plain_generation(live, spec, row) for row in (LONG, SHORT)]
    unedited = [plain_generation(live, None, row) for row in (LONG, SHORT)]
    changed = any(not torch.allclose(e[1], u[1], atol=1e-3) for e, u in zip(expected, unedited, strict=True))
    assert changed, "the edits change nothing, so this test shows nothing"
    for use_cache in (True, False):
        with intervene(live, spec):
            new, logits = generated(live, padded([LONG, SHORT], "left"), use_cache=use_cache)
        for row, (ids, wanted) in enumerate(expected):
            assert new[row].tolist() == ids.tolist()
            close(logits[row], wanted)


@pytest.mark.parametrize(("positions", "phase"), [("all", "all"), ("last", "all"), ((0, 2, 4, 6), "generated")])
def test_generation_of_every_family_is_that_of_plain_hooks(live, positions, phase):
    check_generation(live, positions, phase)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("positions", POSITIONS, ids=str)
def test_generation_at_every_position_and_phase(live_of, positions, phase):
    check_generation(live_of("llama"), positions, phase)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("phase", ["all", "prompt"])
@pytest.mark.parametrize("positions", POSITIONS, ids=str)
def test_a_padded_batch_is_edited_as_its_rows_alone(live_of, positions, phase, side):
    live = live_of("gemma2")
    spec = a_spec(live, *mixed_edits(live), positions=positions, phase=phase)
    inputs = padded([LONG, SHORT], side)
    with torch.no_grad(), intervene(live, spec):
        found = live.model(**inputs, position_ids=positions_for(inputs, live)).logits
    for row, ids in enumerate((LONG, SHORT)):
        close(found[row][inputs["attention_mask"][row].bool()], plain_logits(live, spec, ids, len(ids)))


SITES_AND_OPS = [(site, op, ranged) for site in SITES for op in OPS for ranged in (True, False)]


@pytest.mark.parametrize(("site", "op", "ranged"), [c for c in SITES_AND_OPS if c[2] or not OPS[c[1]].needs_range])
@pytest.mark.parametrize("variant", ["llama", "phi3"])
def test_each_op_at_each_site_alone(live_of, variant, site, op, ranged):
    live = live_of(variant)
    when = Range(-0.6, 0.9) if ranged else None
    edits = [Edit(site, layer, n, op, 1.25, when) for layer in (0, 2) for n in (0, 3, 15)]
    spec = a_spec(live, *edits)
    with torch.no_grad(), intervene(live, spec):
        found = live.model(input_ids=torch.tensor([LONG])).logits[0]
    close(found, plain_logits(live, spec, LONG, len(LONG)))
    assert not torch.allclose(found, plain_logits(live, None, LONG, len(LONG)), atol=1e-4)


@pytest.mark.parametrize("positions", POSITIONS, ids=str)
@pytest.mark.parametrize("use_cache", [True, False])
def test_beam_search(live_of, positions, use_cache):
    live = live_of("llama")
    spec = a_spec(live, *mixed_edits(live)[:14], positions=positions)
    options = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 4, "do_sample": False, "pad_token_id": PAD}
    expected = []
    for ids in (LONG, SHORT):
        with plain_edits(live, spec, len(ids)):
            out = live.model.generate(torch.tensor([ids]), use_cache=False, **options)
        expected += out[:, len(ids) :].tolist()
    with intervene(live, spec):
        found = live.model.generate(**padded([LONG, SHORT], "left"), use_cache=use_cache, **options)
    assert found[:, len(LONG) :].tolist() == expected


@pytest.mark.parametrize("use_cache", [True, False])
def test_sampling_several_answers(live_of, use_cache):
    live = live_of("qwen2")
    spec = a_spec(live, *mixed_edits(live), positions="last", phase="generated")
    options = {"do_sample": True, "num_return_sequences": 3, "max_new_tokens": 5, "pad_token_id": PAD}
    ids = torch.tensor([LONG])
    torch.manual_seed(7)
    with plain_edits(live, spec, len(LONG)):
        expected = live.model.generate(ids, use_cache=False, **options)
    torch.manual_seed(7)
    with intervene(live, spec):
        found = live.model.generate(ids, use_cache=use_cache, **options)
    assert found.tolist() == expected.tolist()
    assert len({tuple(row) for row in found.tolist()}) > 1


@pytest.mark.parametrize("variant", ["llama", "gemma2"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_static_cache_hands_over_other_masks(live_of, variant, phase):
    live = live_of(variant)
    spec = a_spec(live, *mixed_edits(live), phase=phase, positions=(0, 2, 5, 6))
    expected = [plain_generation(live, spec, row) for row in (LONG, SHORT)]
    with intervene(live, spec):
        new, logits = generated(live, padded([LONG, SHORT], "left"), cache_implementation="static")
    for row, (ids, wanted) in enumerate(expected):
        assert new[row].tolist() == ids.tolist()
        close(logits[row], wanted)


def test_several_generations_and_passes_in_one_block(live_of):
    live = live_of("gpt2")
    spec = a_spec(live, *mixed_edits(live), positions="last", phase="generated")
    texts = (LONG, SHORT, LONG + SHORT)
    expected = [plain_generation(live, spec, ids) for ids in texts]
    unedited = [plain_logits(live, None, ids, len(ids)) for ids in texts]
    with intervene(live, spec):
        for ids, (wanted_ids, wanted), without in zip(texts, expected, unedited, strict=True):
            inputs = {"input_ids": torch.tensor([ids])}
            for use_cache in (False, True):
                new, logits = generated(live, inputs, use_cache=use_cache)
                assert new[0].tolist() == wanted_ids.tolist()
                close(logits[0], wanted)
            # A pass without generation has no generated tokens, whatever ran before it.
            close(live.model(**inputs, use_cache=False).logits[0], without)
