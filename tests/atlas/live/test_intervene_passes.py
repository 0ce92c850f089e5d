"""Passes beyond the plain ones: caches made elsewhere, prompts in pieces, embeddings, masks, precision, numbers."""

from __future__ import annotations

import inspect

import pytest
import torch
from transformers import DynamicCache

from atlas.errors import ModelError, UsageError
from atlas.live.capture import capture
from atlas.live.edit_ops import APPLY, TapEdits
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.ops import OPS
from atlas.spec.document import Edit, Range
from tests.atlas.live.plain_edits import a_spec, mixed_edits, plain_logits
from tests.atlas.live.test_intervene import LONG, PAD, SHORT, close, generated, padded, plain_generation
from tests.synthetic import make_model

IDS = torch.tensor([LONG])


@pytest.fixture
def llama(live_of):
    return live_of("llama")


def as_cache(live, cache):
    """The cache under the name that this version of transformers has for it."""
    names = inspect.signature(live.model.forward).parameters
    return {next(name for name in ("cache", "past_key_values") if name in names): cache}


def in_pieces(live, ids, sizes):
    """Logits [tokens, d_vocab] of one text read piece by piece into one cache."""
    cache, logits, start = DynamicCache(config=live.model.config), [], 0
    for size in sizes:
        piece = torch.tensor([ids[start : start + size]])
        with torch.no_grad():
            logits.append(live.model(input_ids=piece, **as_cache(live, cache)).logits[0])
        start += size
    return torch.cat(logits)


@pytest.mark.parametrize("positions", ["all", "last", (1, 4)], ids=str)
@pytest.mark.parametrize("phase", ["prompt", "generated", "all"])
def test_a_loop_by_hand_continues_the_prompt_of_its_first_pass(llama, phase, positions):
    spec = a_spec(llama, *mixed_edits(llama), positions=positions, phase=phase)
    expected = plain_logits(llama, spec, LONG, 3)
    with intervene(llama, spec):
        close(in_pieces(llama, LONG, [3, 1, 1]), expected)


@pytest.mark.parametrize("lengths", [4, [4], torch.tensor([4])])
def test_given_prompt_lengths_say_what_the_prompt_is(llama, lengths):
    spec = a_spec(llama, *mixed_edits(llama), positions="last")
    expected = plain_logits(llama, spec, LONG, 4)
    with torch.no_grad(), intervene(llama, spec, prompt_lengths=lengths):
        close(in_pieces(llama, LONG, [2, 3]), expected)
        close(llama.model(input_ids=IDS).logits[0], expected)


def test_prompt_lengths_differ_by_row_and_spread_over_beams(llama):
    spec = a_spec(llama, *mixed_edits(llama), positions="last")
    expected = [plain_logits(llama, spec, ids, n) for ids, n in ((LONG, 2), (LONG, 2), (SHORT, 1), (SHORT, 1))]
    inputs = padded([LONG, LONG, SHORT, SHORT], "right")
    with torch.no_grad(), intervene(llama, spec, prompt_lengths=[2, 1]):
        found = llama.model(**inputs).logits
        with pytest.raises(ModelError, match="2 prompt lengths for a pass of 3 rows"):
            llama.model(input_ids=IDS.expand(3, -1))
    for row, wanted in enumerate(expected):
        close(found[row, : len(wanted)], wanted)


@pytest.mark.parametrize("lengths", [-1, [1.5], []])
def test_lengths_that_are_none(llama, lengths):
    with pytest.raises(UsageError, match="prompt_lengths"), intervene(llama, one(llama), prompt_lengths=lengths):
        pass


def test_a_prompt_in_chunks_needs_its_length(llama):
    spec = a_spec(llama, *mixed_edits(llama), positions="last")
    ids, logits = plain_generation(llama, spec, LONG)
    with intervene(llama, spec, prompt_lengths=len(LONG)):
        found = generated(llama, {"input_ids": IDS}, prefill_chunk_size=2)
    assert found[0][0].tolist() == ids.tolist()
    close(found[1][0], logits)
    with pytest.raises(ModelError, match=r"prefill_chunk_size .*prompt_lengths"), intervene(llama, spec):
        generated(llama, {"input_ids": IDS}, prefill_chunk_size=2)


def test_a_generation_from_a_filled_cache_takes_all_of_it_as_prompt(llama):
    spec = a_spec(llama, *mixed_edits(llama), phase="generated")
    ids, logits = plain_generation(llama, spec, LONG)
    cache = DynamicCache(config=llama.model.config)
    with torch.no_grad():
        llama.model(input_ids=IDS[:, :3], **as_cache(llama, cache))
    with intervene(llama, spec):
        found = generated(llama, {"input_ids": IDS}, **as_cache(llama, cache))
    assert found[0][0].tolist() == ids.tolist()
    close(found[1][0], logits)


def test_embeddings_instead_of_ids(llama):
    spec = a_spec(llama, *mixed_edits(llama), positions="last")
    ids, logits = plain_generation(llama, spec, LONG)
    inputs = {"inputs_embeds": llama.model.get_input_embeddings()(IDS)}
    with intervene(llama, spec):
        found = generated(llama, inputs)
    assert found[0][0].tolist() == ids.tolist()
    close(found[1][0], logits)


def test_the_base_model_and_capture_are_edited_too(llama):
    spec = a_spec(llama, Edit("mlp_post", 2, 5, "set", 4.0), positions="last")
    seen = []
    with intervene(llama, spec):
        llama.model.base_model(IDS)
        capture(
            llama, IDS, torch.ones_like(IDS), ["mlp_post"], [2], lambda site, layer, acts: seen.append(acts.clone())
        )
    assert (seen[0][0, :, 5] == 4.0).tolist() == [False] * 4 + [True]


def causal_mask(n_tokens, n_padding=0):
    mask = torch.ones(n_tokens, n_tokens).tril().bool()
    mask[:, :n_padding] = False
    return mask[None, None]


def test_a_causal_4d_mask_is_read(llama):
    spec = a_spec(llama, *mixed_edits(llama), positions=(0, 2))
    expected = plain_logits(llama, spec, LONG, len(LONG))
    row = torch.tensor([[PAD, PAD, *LONG]])
    positions = torch.tensor([[0, 0, 0, 1, 2, 3, 4]])
    boolean = causal_mask(7, 2)
    boolean[..., :2, 0] = True  # what padding sees is no one's business
    boolean[..., 0, 0] = boolean[..., 1, 1] = False
    for mask in (boolean, torch.zeros(1, 1, 7, 7).masked_fill(~boolean, torch.finfo(torch.float32).min)):
        with torch.no_grad(), intervene(llama, spec):
            close(llama.model(input_ids=row, attention_mask=mask, position_ids=positions).logits[0, 2:], expected)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (torch.ones(1, 1, 5, 5, dtype=torch.bool), "not causal order and padding alone"),
        (causal_mask(5) & causal_mask(5).flip(-1), "not causal order and padding alone"),
        (torch.ones(1, 1, 5, 3, dtype=torch.bool), "of shape"),
        (torch.ones(1, 5, 5), "a 3-D mask"),
        (torch.ones(1, 4), r"is \(1, 4\), but the pass has 1 rows of 5 tokens"),
        ({"sliding_attention": causal_mask(5)}, "sliding_attention only"),
    ],
    ids=["sees the future", "packed", "too narrow", "3-D", "too short", "sliding"],
)
def test_a_mask_without_a_clear_meaning_is_refused(llama, mask, said):
    with pytest.raises(ModelError, match=said), intervene(llama, one(llama)):
        llama.model(input_ids=IDS, attention_mask=mask)


def test_a_cache_of_unknown_length_is_refused(llama):
    with pytest.raises(ModelError, match="does not tell its length"), intervene(llama, one(llama)):
        llama.model(input_ids=IDS, **as_cache(llama, ((torch.zeros(1), torch.zeros(1)),)))


def one(live):
    return a_spec(live, Edit("mlp_post", 1, 3, "set", 2.0))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_decides_in_float32_and_keeps_other_bits(tmp_path, dtype):
    live = load(str(make_model("llama", tmp_path)), device="cpu", dtype=dtype)
    before, after = [], []
    tap = live.tap("mlp_post", 1)
    hooks = [tap.register(lambda acts: before.append(acts.clone()))]
    with torch.no_grad():
        live.model(input_ids=IDS)
    value = before[0][0, 2, 7].float().item()
    # A bound between this value and the next one of the dtype: rounded to the dtype, it would exclude nothing.
    just_above = value + abs(value) * 1e-5
    spec = a_spec(
        live,
        Edit("mlp_post", 1, 7, "set", 9.0, Range(just_above, 1e4)),
        Edit("mlp_post", 1, 8, "scale", 1.1),
        Edit("mlp_post", 1, 9, "set", 0.1, Range(-1e4, 1e4)),
    )
    with torch.no_grad(), intervene(live, spec):
        hooks.append(tap.register(lambda acts: after.append(acts.clone())))
        live.model(input_ids=IDS)
    for hook in hooks:
        hook.remove()
    old, new = before[0][0], after[0][0]
    assert new[2, 7] == old[2, 7]
    assert torch.equal(new[:, 8], (old[:, 8].float() * 1.1).to(live.dtype))
    assert torch.equal(new[:, 9], torch.full((5,), 0.1, dtype=live.dtype))
    rest = [n for n in range(live.d_mlp) if n not in (7, 8, 9)]
    assert torch.equal(new[:, rest], old[:, rest])


def test_every_op_of_the_table_can_be_applied():
    assert list(APPLY) == list(OPS)


def test_what_is_not_a_number_is_in_no_range_and_can_be_set():
    nan, inf = float("nan"), float("inf")
    acts = torch.tensor([[[nan, nan, inf, -inf, 2.0]]])
    copy = acts.clone()
    everything = Range(-3.4028235e38, 3.4028235e38)
    edits = [Edit("mlp_post", 0, 0, "set", 1.0, everything), Edit("mlp_post", 0, 1, "set", 1.0)]
    edits += [Edit("mlp_post", 0, n, "set", 0.0, everything) for n in (2, 3, 4)]
    found = TapEdits(edits, torch.device("cpu")).apply(acts, None)[0, 0].tolist()
    assert found[0] != found[0]
    assert found[1:] == [1.0, inf, -inf, 0.0]
    assert torch.equal(acts.nan_to_num(7), copy.nan_to_num(7)), "the model's own tensor was written to"


def test_ranges_are_closed_and_damp_is_exact_in_a_narrow_one():
    lower, upper = 1000.0, 1000.01
    acts = torch.tensor([lower, upper, 1000.005, 999.99994, 1000.0101]).reshape(1, 5, 1)
    when = Range(lower, upper)
    found = TapEdits([Edit("mlp_post", 0, 0, "damp", 0.5, when)], acts.device).apply(acts, None)[0, :, 0].double()
    bounds = torch.tensor([lower, upper], dtype=torch.float32).double()
    centre, half = bounds.mean(), (bounds[1] - bounds[0]) / 2
    x = acts[0, :, 0].double()
    expected = torch.where((x >= bounds[0]) & (x <= bounds[1]), x * 0.5 * ((x - centre).abs() / half), x)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-4)
    assert (found == x).tolist() == [False, False, False, True, True]
