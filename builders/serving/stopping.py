"""End what a model computes between two of its blocks, when nobody waits for it or it takes too long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from atlas.errors import QuestionError
from atlas.live.model import LiveModel
from builders.serving.turns import Left, Stopped


@contextmanager
def stoppable(live: LiveModel, stopped: Stopped, most_s: float) -> Iterator[None]:
    """Every pass of the model inside the block ends with Left once `stopped`, and with QuestionError after `most_s`."""
    until = time.monotonic() + most_s

    def look(module: nn.Module, args: tuple[Any, ...]) -> None:
        if stopped():
            raise Left
        if time.monotonic() > until:
            raise QuestionError(
                f"this takes the model more than {most_s:g} s", "Ask for less; the command line has no such limit."
            )

    with ExitStack() as hooks:
        for layer in range(live.n_layers):
            block = live.submodule(live.adapter.block.format(layer=layer))
            hooks.callback(block.register_forward_pre_hook(look).remove)
        yield
