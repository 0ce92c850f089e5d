"""A live model with a LoRA adapter in it, as peft loads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atlas.extras import require
from atlas.live.model import LiveModel


@contextmanager
def with_lora(live: LiveModel, folder: Path) -> Iterator[None]:
    """Every pass inside the block has the adapter in `folder`. Raises MissingExtraError without peft."""
    peft = require("peft", extra="peft", why="to load a LoRA adapter")
    loaded = peft.PeftModel.from_pretrained(live.model, folder)  # it replaces modules inside the model
    try:
        yield
    finally:
        loaded.unload()
