"""Constant vectors in the residual stream: what a control vector does, by hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import Tensor

from atlas.live.model import LiveModel


@contextmanager
def steered(live: LiveModel, vectors: Mapping[int, Tensor]) -> Iterator[None]:
    """Every pass inside the block has `vectors[layer]` [d_model] added after that layer, at every token."""
    with ExitStack() as hooks:
        for layer, vector_D in vectors.items():
            own_D = vector_D.to(live.device, live.dtype)

            def add(acts_BTD: Tensor, own_D: Tensor = own_D) -> Tensor:
                return acts_BTD + own_D

            hooks.callback(live.tap("resid_post", layer).register(add).remove)
        yield
