"""Do something before every block of a model's passes: raising there ends the pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from atlas.live.model import LiveModel


@contextmanager
def before_each_block(live: LiveModel, look: Callable[[], None]) -> Iterator[None]:
    """Inside the block of code `look` is called before every block of every pass; what it raises goes to the caller."""

    def called(module: nn.Module, args: tuple[Any, ...]) -> None:
        look()

    with ExitStack() as hooks:
        for layer in range(live.n_layers):
            block = live.submodule(live.adapter.block.format(layer=layer))
            hooks.callback(block.register_forward_pre_hook(called).remove)
        yield
