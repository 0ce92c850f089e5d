"""A model or a library whose passes are not what they look like does not get past loading."""

from __future__ import annotations

import inspect
from importlib import metadata

import pytest
import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache
from transformers.models.llama.modeling_llama import LlamaForCausalLM, LlamaModel

from atlas.errors import ModelError
from atlas.live import token_positions
from atlas.live.loading import load
from atlas.live.token_positions import PassTokens
from tests.synthetic import make_model

NAME = next(name for name in ("cache", "past_key_values") if name in inspect.signature(LlamaModel.forward).parameters)
FORWARD = LlamaModel.forward


class Box:
    """Holds a cache and tells nothing of it."""

    def __init__(self, inner):
        self.inner = inner


def opened(value):
    return value.inner if isinstance(value, Box) else value


@pytest.fixture
def folder(tmp_path):
    return str(make_model("llama", tmp_path / "llama"))


def refused(folder, words):
    with pytest.raises(ModelError, match=f"cannot be edited reliably while it generates: .*{words}") as caught:
        load(folder, device="cpu")
    for name in ("transformers", "torch"):
        assert f"{name} {metadata.version(name)}" in caught.value.hint
    assert "neuron-atlas" in caught.value.hint and "python" in caught.value.hint


def test_loading_takes_four_passes(folder):
    passes = []
    count = torch.nn.modules.module.register_module_forward_hook(
        lambda module, args, output: passes.append(1) if isinstance(module, LlamaForCausalLM) else None
    )
    try:
        load(folder, device="cpu")
    finally:
        count.remove()
    assert len(passes) == 4, "one more than the three that adapters are checked with"


@pytest.mark.parametrize("name", ["memory", "past", "cache_of_mine"])
def test_a_cache_that_the_model_hands_on_hidden(folder, monkeypatch, name):
    """The renamed argument says nothing, and neither does what it holds."""

    def causal(self, input_ids=None, attention_mask=None, position_ids=None, memory: Cache | None = None, **kwargs):
        hidden = {} if memory is None else {name: Box(memory)}
        output = self.model(input_ids, attention_mask, position_ids, **hidden, **kwargs)
        output["logits"] = self.lm_head(output.last_hidden_state)
        return output

    def base(self, input_ids=None, attention_mask=None, position_ids=None, **kwargs):
        named = (input_ids, attention_mask, position_ids)
        return FORWARD(self, *named, **{NAME if key == name else key: opened(value) for key, value in kwargs.items()})

    monkeypatch.setattr(LlamaForCausalLM, "forward", causal)
    monkeypatch.setattr(LlamaModel, "forward", base)
    refused(folder, "cannot tell which token is which" if name == "memory" else "does not tell its length")


def test_a_cache_with_another_name_that_tells_its_length_is_fine(folder, monkeypatch):
    def causal(self, input_ids=None, attention_mask=None, position_ids=None, memory: Cache | None = None, **kwargs):
        output = self.model(input_ids, attention_mask, position_ids, memory=memory, **kwargs)
        output["logits"] = self.lm_head(output.last_hidden_state)
        return output

    def base(self, input_ids, attention_mask, position_ids, memory=None, **kwargs):
        return FORWARD(self, input_ids, attention_mask, position_ids, **{NAME: memory}, **kwargs)

    monkeypatch.setattr(LlamaForCausalLM, "forward", causal)
    monkeypatch.setattr(LlamaModel, "forward", base)
    assert load(folder, device="cpu").n_layers == 3


def test_a_model_that_keeps_its_cache_to_itself(folder, monkeypatch):
    def base(self, *args, **kwargs):
        output = FORWARD(self, *args, **kwargs)
        output[NAME] = None
        return output

    monkeypatch.setattr(LlamaModel, "forward", base)
    refused(folder, "returns no key-value cache")


@pytest.mark.parametrize("told", [0, 1, 3])
def test_a_cache_that_tells_a_wrong_length(folder, monkeypatch, told):
    monkeypatch.setattr(DynamicCache, "get_seq_length", lambda self, layer_idx=0: told)
    refused(folder, f"after {told} cached ones")


def test_a_step_that_does_not_read_the_cache(folder, monkeypatch):
    update = DynamicCache.update

    def forgetful(self, key_states, value_states, *args, **kwargs):
        update(self, key_states, value_states, *args, **kwargs)
        held = self.layers[0].keys.shape[-2] - key_states.shape[-2]
        return torch.nn.functional.pad(key_states, (0, 0, held, 0)), torch.nn.functional.pad(
            value_states, (0, 0, held, 0)
        )

    monkeypatch.setattr(DynamicCache, "update", forgetful)
    refused(folder, "logits of a step after a cache and in a right-padded row differ by")


def test_a_model_that_does_not_mask_padding(folder, monkeypatch):
    def base(self, input_ids=None, attention_mask=None, position_ids=None, **kwargs):
        return FORWARD(self, input_ids, **kwargs)

    monkeypatch.setattr(LlamaModel, "forward", base)
    refused(folder, "logits of token 0 of a left-padded row and of a text alone differ by")


def test_positions_that_count_padding(folder, monkeypatch):
    def by_column(self):
        return torch.arange(self.n_cached, self.n_cached + self.shape[1], device=self.device)[None]

    monkeypatch.setattr(PassTokens, "index", by_column)
    refused(folder, "its position_ids begin with")


def test_a_phase_that_begins_a_token_early(folder, monkeypatch):
    index = PassTokens.index
    monkeypatch.setattr(PassTokens, "index", lambda self: index(self) + 1)
    monkeypatch.setattr(token_positions, "_check_positions", lambda *_: None)
    refused(folder, "in a right-padded row the edited tokens are 1, 2, and should be 2")


def test_a_generated_token_that_is_taken_for_prompt(folder, monkeypatch):
    everything = PassTokens.counts
    monkeypatch.setattr(PassTokens, "counts", lambda self, columns: everything(self, slice(None)))
    refused(folder, "in a step after a cache the edited tokens are none, and should be 0")
