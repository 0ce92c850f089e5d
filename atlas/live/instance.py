"""A small model of the same family and config, with random weights: to check an adapter where the whole cannot run.

Its blocks are as wide as the model's, so that nothing of what a family requires of its sizes can break; there are two
of them, with few neurons and few tokens. That names and shapes of the checkpoint's own weights are those of the
family's class is checked before (weight_match.py).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from transformers import PretrainedConfig
from transformers.initialization import no_init_weights

from atlas.live.adapters.base import Adapter
from atlas.live.model import LiveModel

if TYPE_CHECKING:
    from atlas.live.network import CausalModel

LAYERS, TOKENS, NEURONS = 2, 64, 96
_SEED = 0


class _Tokens:
    """Stands for a tokenizer in validation, which asks for ordinary tokens only."""

    all_special_ids: tuple[int, ...] = ()

    def get_vocab(self) -> dict[str, int]:
        """Each id under its own number."""
        return {str(token): token for token in range(TOKENS)}


def small_instance(
    model_class: type[CausalModel], config: PretrainedConfig, adapter: Adapter, model_id: str, attention: str
) -> LiveModel:
    """The instance, float32 on the CPU. Raises whatever the class raises for a config that it cannot take."""
    small = _cut(config)
    with no_init_weights():
        network = model_class._from_config(small, dtype=torch.float32, attn_implementation=attention)
    _randomise(network)
    network.eval().requires_grad_(False)
    return LiveModel(network, _Tokens(), adapter, model_id, add_bos=False)


def _cut(config: PretrainedConfig) -> PretrainedConfig:
    small = cast("Any", copy.deepcopy(config))
    layers = small.num_hidden_layers
    for name, value in list(vars(small).items()):
        if isinstance(value, list) and len(value) == layers:
            setattr(small, name, value[:LAYERS])
    small.num_hidden_layers, small.vocab_size = min(layers, LAYERS), TOKENS
    small.pad_token_id = None  # it may lie beyond
    if isinstance(getattr(small, "intermediate_size", None), int):
        # Another number than the residual stream's, or a transposed matrix would pass.
        small.intermediate_size = NEURONS if small.hidden_size != NEURONS else 2 * NEURONS
    return cast("PretrainedConfig", small)


@torch.no_grad()
def _randomise(network: nn.Module) -> None:
    """Every parameter takes part: no bias is 0, no gain is 1, and activations neither vanish nor explode."""
    generator = torch.Generator().manual_seed(_SEED)
    for name, parameter in network.named_parameters():
        if parameter.ndim < 2:
            gain = 1.0 if name.endswith("weight") else 0.0
            parameter.normal_(gain, 0.3, generator=generator)
        else:
            parameter.normal_(0, parameter.shape[-1] ** -0.5, generator=generator)
