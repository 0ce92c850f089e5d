"""The key-value cache of a pass, known by what it is: something that tells its length.

Its argument is called `past_key_values` up to transformers 5.23 and `cache` after it, and whoever takes it by
a name takes every cached step for a first one as soon as that name changes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from atlas.errors import ModelError
from atlas.live.versions import ran_with

_NAMES = re.compile(r"past|cache")
_PLAIN = (bool, int, str, Tensor, type(None))  # use_cache, cache_implementation, cache_position


def cached_length(arguments: Mapping[str, Any]) -> int:
    """How many tokens the cache among the arguments of a pass holds; 0 without one.

    Raises ModelError for a cache that does not tell its length, and for caches that tell different ones.
    """
    for name, value in arguments.items():
        if not _tells_length(value) and (_holds_tensors(value) or (_NAMES.search(name) and _is_object(value))):
            raise ModelError(
                f"a key-value cache of type {type(value).__name__} does not tell its length",
                f"Pass a Cache of transformers, such as DynamicCache. Ran with {ran_with()}.",
            )
    lengths = {int(value.get_seq_length()) for value in arguments.values() if _tells_length(value)}
    if len(lengths) > 1:
        told = " and ".join(map(str, sorted(lengths)))
        raise ModelError(f"a pass has several key-value caches, of {told} tokens", "Pass one cache.")
    return lengths.pop() if lengths else 0


def cache_argument(forward: Callable[..., Any]) -> str:
    """The name by which `forward` takes its cache, by its annotation; ModelError where it takes none."""
    for name, parameter in inspect.signature(forward).parameters.items():
        if re.search(r"\bCache\b", str(parameter.annotation)):
            return name
    raise ModelError("the model takes no key-value cache", f"Ran with {ran_with()}.")


def cache_of(output: Mapping[str, Any]) -> Any:
    """The cache in what a pass returns; ModelError where there is none that tells its length."""
    for value in output.values():
        if _tells_length(value):
            return value
    raise ModelError("the model returns no key-value cache that tells its length", f"Ran with {ran_with()}.")


def keeps_states(cache: Any) -> bool:
    """Whether a layer of the cache keeps a state of all tokens before, beside or in place of their keys and values."""
    return any(hasattr(layer, "recurrent_states") for layer in getattr(cache, "layers", ()))


def _tells_length(value: Any) -> bool:
    return callable(getattr(value, "get_seq_length", None))


def _is_object(value: Any) -> bool:
    return not isinstance(value, _PLAIN)


def _holds_tensors(value: Any) -> bool:
    """Whether it is a tuple of tuples of tensors, as caches were before transformers had a class for them."""
    while isinstance(value, (tuple, list)) and value and isinstance(value[0], (tuple, list)):
        value = value[0]
        if value and isinstance(value[0], Tensor):
            return True
    return False
