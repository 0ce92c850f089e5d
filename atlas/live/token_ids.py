"""Texts as token ids, whatever the tokenizer's own rules make it do."""

from __future__ import annotations

import textwrap

from atlas.errors import ModelError
from atlas.live.model import LiveModel


def token_ids(live: LiveModel, texts: list[str]) -> list[list[int]]:
    """The token ids of each text, no special token added. Raises ModelError where the tokenizer fails at one."""
    try:
        ids: list[list[int]] = live.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return ids
    except BaseException as error:
        # A panic of Rust is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelError(
            f"the tokenizer of {live.model_id} cannot read a text: {textwrap.shorten(str(error), 200)}",
            "Take tokenizer.json from the original checkpoint, or remove that text.",
        ) from error
