"""Passes told apart by what they carry: caches under any name, and inputs that contradict one another."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from transformers import DynamicCache

from atlas.errors import ModelError
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.live.token_positions import argument_reader, read_pass
from atlas.spec.document import Edit
from tests.atlas.live.plain_edits import a_spec, mixed_edits, plain_logits
from tests.atlas.live.test_intervene import LONG, PAD, SHORT, close, generated, padded, plain_generation
from tests.atlas.live.test_intervene_passes import as_cache
from tests.synthetic import make_model

IDS = torch.tensor([LONG])
FIVE = torch.ones(1, 5, dtype=torch.long)


class Filled:
    """Stands in for a cache of `n` tokens."""

    def __init__(self, n):
        self.n = n

    def get_seq_length(self):
        return self.n


@contextmanager
def cache_as(live, name, unwrap=lambda cache: cache):
    """`live`'s base model with its cache as argument `name`, whose value `unwrap` makes a cache of."""
    base = live.model.base_model
    forward = base.forward

    def renamed(input_ids, attention_mask=None, position_ids=None, **kwargs):
        cache = unwrap(kwargs.pop(name))
        return forward(input_ids, attention_mask, position_ids, **as_cache(live, cache), use_cache=True, **kwargs)

    base.forward = renamed
    try:
        yield base
    finally:
        del base.forward


@pytest.mark.parametrize("name", ["cache", "past_key_values", "memory"])
def test_a_cache_is_known_by_what_it_is_not_by_its_name(live_of, name):
    live = live_of("llama")
    spec = a_spec(live, *mixed_edits(live), phase="generated")
    expected = plain_logits(live, spec, LONG, 3)
    cache, states = DynamicCache(config=live.model.config), []
    with cache_as(live, name) as base, torch.no_grad(), intervene(live, spec):
        for start, stop in ((0, 3), (3, 4), (4, 5)):
            states.append(base(IDS[:, start:stop], **{name: cache}).last_hidden_state)
        close(live.model.lm_head(torch.cat(states, 1))[0], expected)


def test_a_cache_is_seen_at_any_place():
    def forward(input_ids, attention_mask=None, *rest, **others):
        pass

    read = argument_reader(forward)
    assert read_pass(read((IDS[:, :1], FIVE, None, Filled(4)), {})).n_cached == 4
    assert read_pass(read((IDS[:, :1],), {"attention_mask": FIVE, "held": Filled(4)})).n_cached == 4


def test_a_hidden_cache_is_noticed_by_mask_or_positions(live_of):
    live = live_of("llama")
    spec = a_spec(live, Edit("mlp_post", 1, 3, "set", 2.0), phase="generated")
    for step in (
        {"attention_mask": FIVE},
        {"position_ids": torch.tensor([[4]])},
        {"attention_mask": FIVE, "position_ids": torch.tensor([[4]])},
        {"attention_mask": torch.ones(1, 1, 1, 5, dtype=torch.bool)},
    ):
        cache = DynamicCache(config=live.model.config)
        hidden = SimpleNamespace(inner=cache)
        with cache_as(live, "memory", lambda box: box.inner) as base, torch.no_grad():
            base(IDS[:, :4], memory=hidden)
            with pytest.raises(ModelError, match="cannot tell which") as caught, intervene(live, spec):
                base(IDS[:, 4:], memory=hidden, **step)
            assert "transformers" in caught.value.hint or "4-D" in caught.value.message
        assert cache.get_seq_length() == 4, "the pass must not have begun"


POSITIONS = {
    "beyond what the cache holds": ({}, [[5]], Filled(4)),
    "before what the cache holds": ({}, [[0]], Filled(4)),
    "after a cache that is not there": ({}, [[4]], None),
    "packed texts": ({}, [[0, 1, 2, 0, 1]], None),
    "an offset": ({}, [[2, 3, 4, 5, 6]], None),
    "counted as the mask does not": ({"attention_mask": torch.tensor([[0, 0, 1, 1, 1]])}, [[0, 0, 1, 2, 3]], None),
    "three kinds of positions": ({}, [[[0, 1, 2, 3, 4]], [[0, 1, 2, 3, 4]], [[2, 3, 4, 5, 6]]], None),
}


@pytest.mark.parametrize("name", ["position_ids", "cache_position"])
@pytest.mark.parametrize("case", POSITIONS)
def test_positions_that_contradict_the_pass(case, name):
    mask, positions, cache = POSITIONS[case]
    ids = IDS[:, : len(positions[0]) if case != "three kinds of positions" else 5]
    with pytest.raises(ModelError, match=rf"its {name} begin with .* after {4 if cache else 0} cached ones"):
        read_pass({"input_ids": ids, **mask, name: torch.tensor(positions), "cache": cache})


def test_a_mask_with_tokens_that_no_cache_holds():
    for n_cached, width in ((0, 5), (3, 5), (0, 2)):
        with pytest.raises(ModelError, match=f"tokens up to column {width - 1}, .* after {n_cached} cached ones"):
            read_pass({"input_ids": IDS[:, :1], "attention_mask": FIVE[:, :width], "cache": Filled(n_cached)})


def test_two_caches_of_different_lengths():
    with pytest.raises(ModelError, match="several key-value caches, of 2 and 4 tokens"):
        read_pass({"input_ids": IDS, "cache": Filled(4), "other": Filled(2)})
    assert read_pass({"input_ids": IDS, "cache": Filled(4), "other": Filled(4)}).n_cached == 4


@pytest.mark.parametrize("name", ["past_key_values", "cache", "memory"])
@pytest.mark.parametrize("container", [tuple, list])
def test_a_cache_of_tuples_does_not_tell_its_length_under_any_name(name, container):
    layer = container([torch.zeros(1, 4, 3, 4), torch.zeros(1, 4, 3, 4)])
    with pytest.raises(ModelError, match=f"of type {container.__name__} does not tell its length"):
        read_pass({"input_ids": IDS, name: container([layer])})


LEGITIMATE = {
    "nothing but tokens": {},
    "one token": {"input_ids": IDS[:, :1]},
    "room for tokens to come": {"attention_mask": torch.tensor([[1] * 5 + [0] * 9])},
    "positions of one axis": {"position_ids": torch.arange(5)},
    "left padding, counted alone": {
        "attention_mask": torch.tensor([[0, 0, 1, 1, 1]]),
        "position_ids": torch.tensor([[0, 0, 0, 1, 2]]),
    },
    "left padding, with ones on it": {
        "attention_mask": torch.tensor([[0, 0, 1, 1, 1]]),
        "position_ids": torch.tensor([[1, 1, 0, 1, 2]]),
    },
    "left padding, counted together": {
        "attention_mask": torch.tensor([[0, 0, 1, 1, 1]]),
        "position_ids": torch.arange(5)[None],
        "cache_position": torch.arange(5),
    },
    "right padding": {
        "attention_mask": torch.tensor([[1, 1, 1, 0, 0]]),
        "position_ids": torch.tensor([[0, 1, 2, 2, 2]]),
    },
    "after a cache": {
        "attention_mask": torch.tensor([[0, 1, 1, 1, 1, 1, 1, 1, 1]]),
        "position_ids": torch.arange(3, 8)[None],
        "cache_position": torch.arange(4, 9),
        "cache": Filled(4),
    },
    "no cache, as generate says it": {"cache": None, "past_key_values": None, "use_cache": True},
    "a length as a tensor": {"cache": Filled(torch.tensor(4)), "attention_mask": torch.ones(1, 9)},
}


@pytest.mark.parametrize("case", LEGITIMATE)
def test_no_legitimate_pass_is_refused(case):
    arguments = {"input_ids": IDS, **LEGITIMATE[case]}
    tokens = read_pass(arguments)
    assert tokens.n_cached == (4 if arguments.get("cache") else 0)
    mask = arguments.get("attention_mask", torch.ones(1, 9)).bool()[0, : tokens.n_cached + tokens.shape[1]]
    real = [int(mask[: column + 1].sum()) - 1 for column in range(tokens.n_cached, len(mask)) if mask[column]]
    index = tokens.index()[0]
    assert index[mask[tokens.n_cached :]].tolist() == real if "attention_mask" in arguments else index.tolist() == real


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("mistral", {}),
        ("mistral", {"use_cache": False}),
        ("gemma3", {}),
        ("gemma3", {"use_cache": False}),
        ("gemma3", {"cache_implementation": "static"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("phase", ["all", "generated"])
def test_a_generation_longer_than_the_sliding_window(tmp_path, family, options, phase):
    fields = {"layer_types": ["sliding_attention", "full_attention"] * 2} if family == "gemma3" else {}
    live = load(str(make_model(family, tmp_path, sliding_window=4, num_hidden_layers=4, **fields)), device="cpu")
    spec = a_spec(live, *mixed_edits(live), phase=phase, positions=(1, 4, 6, 7))
    expected = [plain_generation(live, spec, row) for row in (LONG, SHORT)]
    for row, (ids, wanted) in zip((LONG, SHORT), expected, strict=True):
        with intervene(live, spec):
            new, logits = generated(live, {"input_ids": torch.tensor([row])}, **options)
        assert new[0].tolist() == ids.tolist()
        close(logits[0], wanted)


def test_generation_from_right_padding_is_refused_as_transformers_miscounts_it(live_of):
    live = live_of("llama")
    spec = a_spec(live, *mixed_edits(live), phase="generated")
    assert padded([LONG, SHORT], "right")["input_ids"][1, -1] == PAD
    with pytest.raises(ModelError, match="its position_ids begin with"), intervene(live, spec):
        generated(live, padded([LONG, SHORT], "right"))
