"""End what a model computes between two of its blocks, when nobody waits for it or it takes too long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from atlas.errors import QuestionError
from atlas.live.between_blocks import before_each_block
from atlas.live.model import LiveModel
from builders.serving.turns import Left, Stopped


@contextmanager
def stoppable(live: LiveModel, stopped: Stopped, most_s: float) -> Iterator[None]:
    """Every pass of the model inside the block ends with Left once `stopped`, and with QuestionError after `most_s`."""
    until = time.monotonic() + most_s

    def look() -> None:
        if stopped():
            raise Left
        if time.monotonic() > until:
            raise QuestionError(
                f"this takes the model more than {most_s:g} s", "Ask for less; the command line has no such limit."
            )

    with before_each_block(live, look):
        yield
