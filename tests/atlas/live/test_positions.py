"""Positions are those that a model gives a text alone, whatever stands beside it and wherever it starts to count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import BloomConfig, BloomModel, RobertaConfig, RobertaModel

from atlas.errors import ModelError
from atlas.live.positions import position_arguments, position_ids
from atlas.live.token_positions import read_pass

PAD = 1
TEXT = torch.tensor([[20, 30, 40, 50]])
MASK = {"left": [0, 0, 1, 1, 1, 1], "right": [1, 1, 1, 1, 0, 0]}


def counted_from(live, number):
    """The model with an adapter that says that its texts begin at `number`."""
    copy = replace(live, adapter=replace(live.adapter, first_position_after="pad_token_id"))
    assert copy.model.config.pad_token_id == number - 1 and live.first_position == 0
    return copy


def test_positions_count_real_tokens_from_the_first_one_s(live_of):
    live = counted_from(live_of("llama"), PAD + 1)
    mask = torch.tensor([MASK["left"], MASK["right"]])
    given = position_arguments(live, live.model.forward, mask)["position_ids"]
    assert given[0, 2:].tolist() == given[1, :4].tolist() == [2, 3, 4, 5]
    assert position_arguments(live, live.model.forward, mask, 1)["position_ids"].tolist() == [[5], [5]]
    assert position_arguments(live_of("llama"), live.model.forward, mask)["position_ids"][0, 2:].tolist() == [
        0,
        1,
        2,
        3,
    ]


@pytest.mark.parametrize("side", MASK)
def test_a_model_that_counts_past_its_padding_token(live_of, side):
    """As it counts by itself, where it sees the text alone; counted from 0 it computes something else."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = RobertaModel(RobertaConfig(vocab_size=64, max_position_embeddings=16, pad_token_id=PAD, **sizes)).eval()
    mask = torch.tensor([MASK[side]])
    ids = torch.full_like(mask, PAD)
    ids[mask.bool()] = TEXT[0]
    live = counted_from(live_of("llama"), PAD + 1)
    with torch.no_grad():
        alone = model(TEXT).last_hidden_state[0]
        found = model(ids, mask, **position_arguments(live, model.forward, mask)).last_hidden_state[mask.bool()]
        from_zero = model(ids, mask, position_ids=position_ids(mask)).last_hidden_state[mask.bool()]
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(from_zero, alone, atol=1e-2)


def test_a_model_without_positions_is_given_none(live_of):
    model = BloomModel(BloomConfig(vocab_size=64, hidden_size=16, n_layer=1, n_head=2))
    assert position_arguments(live_of("llama"), model.forward, torch.ones(1, 4, dtype=torch.long)) == {}


def test_an_edited_pass_may_count_from_the_model_s_own_number():
    inputs = {"input_ids": TEXT, "attention_mask": torch.ones_like(TEXT)}
    assert read_pass({**inputs, "position_ids": torch.arange(2, 6)[None]}, 2).index().tolist() == [[0, 1, 2, 3]]
    with pytest.raises(ModelError, match="its position_ids begin with"):
        read_pass({**inputs, "position_ids": torch.arange(4)[None]}, 2)
    with pytest.raises(ModelError, match="its cache_position begin with"):
        read_pass({**inputs, "cache_position": torch.arange(2, 6)}, 2)
