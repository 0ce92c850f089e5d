"""Forward passes that do not compute again what is known already.

Two shortcuts, both independent of the family of the model:

- *Layers*: blocks below the first edited one give the same in every arm. A pass can keep the residual stream
  that enters a block (`stops`), and a later pass can start there (`start`): the blocks below are passed through
  and the kept stream goes in. The model still makes its masks and rotary embeddings itself.
- *Tokens*: a key-value cache of the tokens before. It is never changed: each pass extends a shallow copy,
  because transformers' cache layers make new tensors when they grow.

Axes: B texts, T tokens of a pass, D d_model, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from atlas.errors import ModelError
from atlas.live.cache import cache_argument, cache_of, keeps_states
from atlas.live.model import LiveModel
from atlas.live.positions import position_arguments

_LOGIT_VALUES = 1 << 24
"""Logits held at once: 64 MB in float32."""


class Start(NamedTuple):
    """Begin at block `layer` with the residual stream `stream_BTD`; `wrapped`: the length of the tuples that blocks
    return, 0 where they return a bare tensor."""

    layer: int
    stream_BTD: Tensor
    wrapped: int


@dataclass(frozen=True)
class Pass:
    """The outcome of a pass. `final_BTD`: after the final norm. `starts`: where a later pass can begin."""

    final_BTD: Tensor
    starts: dict[int, Start]
    cache: Any = None


def run_pass(
    live: LiveModel,
    input_ids_BT: Tensor,
    mask: Tensor,
    *,
    cache: Any = None,
    keep_cache: bool = False,
    stops: Sequence[int] = (),
    start: Start | None = None,
) -> Pass:
    """Run the base model on `input_ids_BT`, inside whatever hooks are registered.

    `mask`: [B, cached tokens + T], 1 on real tokens, padding anywhere. `cache`: key-value cache of the cached
    tokens; it stays as it is. `stops`: blocks (from 1) whose incoming residual stream to keep. `start`: begin
    at that block, with what an earlier pass over the same tokens kept there.
    """
    starts: dict[int, Start] = {}
    base, width = live.base, input_ids_BT.shape[1]
    before = {} if cache is None else {cache_argument(base.forward): grown(cache, len(input_ids_BT))}
    with ExitStack() as hooks, torch.inference_mode():
        for layer in stops:
            for handle in _keep_start(live, layer, starts):
                hooks.callback(handle.remove)
        if start is not None:
            hooks.enter_context(_begin_at(live, start))
        output = base(
            input_ids=input_ids_BT,
            attention_mask=mask,
            **position_arguments(live, base.forward, mask, width),
            use_cache=keep_cache or cache is not None,
            **before,
        )
    return Pass(output.last_hidden_state, starts, cache_of(output) if keep_cache else None)


def grown(cache: Any, n_texts: int) -> Any:
    """A copy of a cache that can grow without changing the original; a batch of 1 is repeated to `n_texts`."""
    if keeps_states(cache):
        raise ModelError("a pass cannot begin at the state that a recurrent layer was left in, which it would change")
    fresh = copy.copy(cache)
    fresh.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in fresh.layers:
        if layer.keys.shape[0] != n_texts:
            layer.keys = layer.keys.expand(n_texts, -1, -1, -1)
            layer.values = layer.values.expand(n_texts, -1, -1, -1)
    return fresh


def cache_bytes(cache: Any) -> int:
    """The size of the keys and values of a cache."""
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)


def log_probs(live: LiveModel, final_ND: Tensor, pick: Callable[[Tensor, slice], Tensor]) -> Tensor:
    """float32 log-probabilities of the next token after each of N final states, reduced by `pick`.

    The states go through the LM head in slices; `pick(logprob_SV, rows)` gets those of `rows` and returns what
    to keep. The logits are those that atlas/live/validation.py compares with the model's own.
    """
    head = live.model.get_output_embeddings()
    cap = live.logit_softcap
    step = max(1, _LOGIT_VALUES // live.d_vocab)
    kept = []
    with torch.inference_mode():
        for begin in range(0, len(final_ND), step):
            rows = slice(begin, begin + step)
            logits_SV = head(final_ND[rows]).float() * live.logit_scale
            if cap:
                logits_SV = cap * torch.tanh(logits_SV / cap)
            kept.append(pick(torch.log_softmax(logits_SV, dim=-1), rows))
    return torch.cat(kept)


def affordable_starts(layers: Iterable[int], bytes_each: int, memory: int) -> Mapping[int, int]:
    """For each wanted first layer the block to start at, so that the kept streams fit into `memory` bytes.

    Where not all fit, the deepest are kept, which save most; the others start at 0, that is, from the text.
    """
    wanted = sorted(set(layers), reverse=True)
    kept = [layer for layer in wanted if layer > 0][: memory // bytes_each]
    return {layer: layer if layer in kept else 0 for layer in wanted}


def _block(live: LiveModel, layer: int) -> nn.Module:
    return live.submodule(live.adapter.block.format(layer=layer))


def _keep_start(live: LiveModel, layer: int, starts: dict[int, Start]) -> list[Any]:
    wrapped: list[int] = []

    def look(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        # A bare tensor in transformers 5, for most families a tuple in 4.
        wrapped.append(len(output) if isinstance(output, tuple) else 0)

    def keep(module: nn.Module, args: tuple[Any, ...]) -> None:
        # A copy: a later in-place step of the model must not reach it.
        starts[layer] = Start(layer, args[0].clone(), wrapped[-1])

    before, at = _block(live, layer - 1), _block(live, layer)
    return [before.register_forward_hook(look), at.register_forward_pre_hook(keep)]


@contextmanager
def _begin_at(live: LiveModel, start: Start) -> Iterator[None]:
    """Make the blocks below hand their input on, and put the kept stream into the block `start.layer`."""

    def inject(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (start.stream_BTD, *args[1:])

    def hand_on(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor | tuple[Tensor | None, ...]:
        return (hidden_states, *[None] * (start.wrapped - 1)) if start.wrapped else hidden_states

    skipped = [_block(live, below) for below in range(start.layer)]
    own = [vars(block).get("forward") for block in skipped]  # that of a model that is spread over devices
    handle = _block(live, start.layer).register_forward_pre_hook(inject)
    try:
        for block in skipped:
            # An attribute of the instance goes before the method of its class.
            block.forward = hand_on
        yield
    finally:
        for block, before in zip(skipped, own, strict=True):
            if before is None:
                vars(block).pop("forward", None)
            else:
                block.forward = before
        handle.remove()
