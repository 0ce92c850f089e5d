"""Which token of a forward pass is which: its index without padding, and whether the spec admits it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atlas.errors import ModelError
from atlas.live.cache import cached_length
from atlas.live.versions import ran_with
from atlas.spec.document import InterventionSpec


@dataclass(frozen=True)
class PassTokens:
    """The B x T tokens of one pass, after `n_cached` that its key-value cache holds already.

    `real_BS` [B, n_cached + T] is bool, False on padding; None when there is none. `shape` is (B, T).
    """

    shape: tuple[int, int]
    n_cached: int
    real_BS: Tensor | None
    device: torch.device

    def counts(self, columns: slice) -> Tensor:
        """[B] real tokens in these columns of cache and pass."""
        if self.real_BS is None:
            n = len(range(*columns.indices(self.n_cached + self.shape[1])))
            return torch.full((self.shape[0],), n, device=self.device)
        return self.real_BS[:, columns].sum(1)

    def index(self) -> Tensor:
        """[B, T] or [1, T]: each token's 0-based index, padding not counted; meaningless on padding."""
        if self.real_BS is None:
            return torch.arange(self.n_cached, self.n_cached + self.shape[1], device=self.device)[None]
        return self.real_BS.cumsum(1)[:, self.n_cached :] - 1


def argument_reader(forward: Callable[..., Any]) -> Callable[[tuple[Any, ...], Mapping[str, Any]], Mapping[str, Any]]:
    """A function from (args, kwargs) of a call of `forward` to its arguments by name, defaults left out.

    Arguments without a name of their own are named by their place, so that none is lost.
    """
    by_place = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    named = [name for name, given in inspect.signature(forward).parameters.items() if given.kind in by_place]

    def arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        names = [*named, *(f"argument {place}" for place in range(len(named), len(args)))]
        return {**dict(zip(names, args, strict=False)), **kwargs}

    return arguments


def read_pass(arguments: Mapping[str, Any], first_position: int = 0, image_tokens: int | None = None) -> PassTokens:
    """The tokens of a call of the base model, from its inputs, its attention mask and its cache.

    `first_position`: the position id of a text's first token. `image_tokens`: of a model that reads images, how many
    each of them has.

    Raises ModelError for a mask or a cache that leaves open which tokens are padding, and where number of
    tokens, cache, mask and positions contradict one another, as they do when a cache is overlooked.
    """
    given = arguments.get("input_ids")
    given = arguments.get("inputs_embeds") if given is None else given
    pixels = arguments.get("pixel_values")
    if image_tokens is not None and isinstance(pixels, Tensor):
        return PassTokens((len(pixels), image_tokens), 0, None, pixels.device)
    if given is None:
        raise ModelError("a forward pass has neither input_ids nor inputs_embeds")
    shape, n_cached = (given.shape[0], given.shape[1]), cached_length(arguments)
    real_BS = _real_tokens(arguments.get("attention_mask"), shape, n_cached)
    tokens = PassTokens(shape, n_cached, None if real_BS is None else real_BS.to(given.device), given.device)
    for name, first in (("position_ids", first_position), ("cache_position", 0)):
        if isinstance(arguments.get(name), Tensor):
            _check_positions(name, arguments[name].to(given.device), first, tokens)
    return tokens


def admitted(spec: InterventionSpec, tokens: PassTokens, prompt_B: Tensor) -> Tensor | bool:
    """Where the spec's phase and positions let it edit: True (every token), False (none), or bool [B, T, 1].

    `prompt_B` [B] is the number of prompt tokens of each row. Waits once for the device, before the pass
    has given it anything to do, so that no tap has to.
    """
    real_BS = tokens.real_BS
    ok_BT = torch.ones(tokens.shape, dtype=torch.bool, device=tokens.device)
    if real_BS is not None:
        ok_BT = real_BS[:, tokens.n_cached :]
    elif spec.phase == "all" and spec.positions == "all":
        return True
    if spec.phase != "all" or spec.positions != "all":
        index_BT, prompt_B1 = tokens.index(), prompt_B[:, None]
        if spec.phase != "all":
            ok_BT = ok_BT & ((index_BT >= prompt_B1) == (spec.phase == "generated"))
        if spec.positions == "last":
            ok_BT = ok_BT & (index_BT >= prompt_B1 - 1)
        elif spec.positions != "all":
            ok_BT = ok_BT & torch.isin(index_BT, torch.tensor(spec.positions, device=tokens.device))
    n_admitted = int(ok_BT.sum())
    if n_admitted in (0, ok_BT.numel()):
        return n_admitted > 0
    return ok_BT[..., None]


def _check_positions(name: str, positions: Tensor, first: int, tokens: PassTokens) -> None:
    """ModelError unless the positions given with a pass are those of its tokens, counted from `first`.

    Real tokens may be counted alone, as `generate` does, or together with padding; what padding has is open.
    Anything else, such as texts packed into one row or a cache that was not seen, is none of our counting.
    """
    if positions.ndim == 3:  # one for each axis of an image; of a text alone all are its positions
        for of_an_axis in positions:
            _check_positions(name, of_an_axis, first, tokens)
        return
    n_cached, (n_rows, n_tokens) = tokens.n_cached, tokens.shape
    columns_1T = torch.arange(n_cached, n_cached + n_tokens, device=positions.device)[None]
    if positions.shape in ((n_tokens,), (1, n_tokens), (n_rows, n_tokens)):
        found_BT = positions.reshape(-1, n_tokens) - first
        padding_BT = torch.zeros_like(columns_1T, dtype=torch.bool)
        if tokens.real_BS is not None:
            padding_BT = ~tokens.real_BS[:, n_cached:]
        alone_B = ((found_BT == tokens.index()) | padding_BT).all(1)
        together_B = ((found_BT == columns_1T) | padding_BT).all(1)
        if bool((alone_B | together_B).all()):
            return
    shown = positions.reshape(-1, positions.shape[-1])[0, :8].tolist()
    raise _contradiction(f"its {name} begin with {shown}", tokens.shape, n_cached)


def _real_tokens(mask: Any, shape: tuple[int, int], n_cached: int) -> Tensor | None:
    """[B, n_cached + T] bool of the mask's real tokens; None: all are."""
    if isinstance(mask, Mapping):
        if "full_attention" not in mask:
            raise _unreadable(f"a mask for {', '.join(mask)} only")
        mask = mask["full_attention"]
    if mask is None:
        return None
    n_columns = n_cached + shape[1]
    if isinstance(mask, Tensor) and mask.ndim == 2:
        if mask.shape[0] != shape[0] or mask.shape[1] < n_columns:
            raise _contradiction(f"the attention mask is {tuple(mask.shape)}", shape, n_cached)
        if mask.shape[1] > n_columns and bool(mask[:, n_columns:].any()):
            # Room for tokens to come is masked; a real token out here is one that no cache was found for.
            raise _contradiction(f"the attention mask has tokens up to column {mask.shape[1] - 1}", shape, n_cached)
        return mask[:, :n_columns].bool()
    if isinstance(mask, Tensor) and mask.ndim == 4:
        return _from_causal(mask, shape, n_cached)
    raise _unreadable(f"a {mask.ndim}-D mask" if isinstance(mask, Tensor) else f"a {type(mask).__name__}")


def _from_causal(mask: Tensor, shape: tuple[int, int], n_cached: int) -> Tensor:
    """The real tokens behind a [B, 1, T, keys] mask, if it is nothing but causal order and padding.

    `generate` makes such masks for static caches. Any other pattern (packed texts, a prefix that sees
    itself) has no single meaning of "padding" and is refused.
    """
    n_columns = n_cached + shape[1]
    allowed_BTS = (mask if mask.dtype == torch.bool else mask == 0)[:, 0].expand(shape[0], -1, -1)
    if tuple(allowed_BTS.shape[:2]) != shape or allowed_BTS.shape[2] < n_columns:
        raise _unreadable(f"a mask of shape {tuple(mask.shape)}")
    columns_S = torch.arange(allowed_BTS.shape[2], device=mask.device)
    queries_T = columns_S[n_cached:n_columns]
    # What a padding query may see differs between attention implementations, so real ones decide: a column
    # is real when its own query sees it or, if cached, the last query does.
    own_BT = allowed_BTS[:, torch.arange(shape[1], device=mask.device), queries_T]
    real_BS = torch.zeros(shape[0], allowed_BTS.shape[2], dtype=torch.bool, device=mask.device)
    real_BS[:, :n_cached] = (allowed_BTS[..., :n_cached] & own_BT[..., None]).any(1)
    real_BS[:, n_cached:n_columns] = own_BT
    expected_BTS = real_BS[:, None] & (columns_S <= queries_T[:, None])
    if not torch.equal(expected_BTS & own_BT[..., None], allowed_BTS & own_BT[..., None]):
        raise _unreadable("a 4-D mask that is not causal order and padding alone")
    return real_BS[:, :n_columns]


def _contradiction(what: str, shape: tuple[int, int], n_cached: int) -> ModelError:
    return ModelError(
        f"cannot tell which token is which: {what}, but the pass has {shape[0]} rows of {shape[1]} tokens "
        f"after {n_cached} cached ones",
        "Mask and positions cover the cached tokens too and count from a text's first, and a cache is a Cache of "
        f"transformers. Ran with {ran_with()}.",
    )


def _unreadable(what: str) -> ModelError:
    return ModelError(
        f"cannot tell which tokens are padding: the attention mask is {what}",
        "Pass a 2-D attention mask, and a dynamic cache.",
    )
