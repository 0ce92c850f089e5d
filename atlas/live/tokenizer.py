"""The tokenizer exactly as the checkpoint ships it."""

from __future__ import annotations

from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import cached_file

from atlas.live.sources import Source


def load_tokenizer(source: Source, **where: Any) -> Any:
    """The tokenizer of `source`; `where` holds transformers' keywords for finding files.

    A `tokenizer.json` is taken as it stands: AutoTokenizer may instead build the class registered for the
    model type, whose own splitting rules give other tokens for a checkpoint that differs from its family.
    """
    if not source.gguf_file:
        found = cached_file(source.location, "tokenizer.json", _raise_exceptions_for_missing_entries=False, **where)
        if found:
            return PreTrainedTokenizerFast.from_pretrained(source.location, **where)
    return AutoTokenizer.from_pretrained(source.location, trust_remote_code=False, **where)


def prepends_bos(tokenizer: Any) -> bool:
    """Whether the tokenizer puts its beginning-of-sequence token first by default (measured)."""
    by_default = tokenizer("a")["input_ids"]
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    return tokenizer.bos_token_id is not None and by_default[:1] == [tokenizer.bos_token_id] != bare[:1]
