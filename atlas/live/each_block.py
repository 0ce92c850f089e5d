"""Something to do before every block of a model, in whatever runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from atlas.live.model import LiveModel


@contextmanager
def before_each_block(live: LiveModel, look: Callable[[], None]) -> Iterator[None]:
    """Call `look` before each block of every pass inside the `with`. What it raises ends the pass."""

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        look()

    with ExitStack() as hooks:
        for layer in range(live.n_layers):
            block = live.submodule(live.adapter.block.format(layer=layer))
            hooks.callback(block.register_forward_pre_hook(before).remove)
        yield
