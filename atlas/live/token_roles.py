"""Which tokens of a prompt count where activations of several are pooled.

Special tokens never do, wherever they come from: those that the tokenizer adds, and those written in a template or a
text. They are marks and no part of a text, and the model treats them so: at the beginning-of-sequence token
activations of a few neurons are a hundred times larger than anywhere else, and a mean or a maximum shows little more.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

from atlas.errors import ModelError, UnknownNameError
from atlas.live.model import LiveModel
from atlas.sites import POOLS


class Prompt(NamedTuple):
    """A filled template."""

    before: str
    text: str
    after: str


def counting(
    live: LiveModel, prompts: Sequence[tuple[str, str, str]], encoded: Sequence[Sequence[int]], pool: str
) -> list[list[bool]]:
    """For each token of each prompt (before, text, after), as `encoded`, whether it counts under `pool`.

    `prompt`: all but special tokens. `text`: of these the ones that hold at least one character of the text,
    so that a token over the seam of text and template counts.

    Raises UnknownNameError for another pool, and ModelError where the tokenizer does not say which characters
    a token stands for.
    """
    if pool not in POOLS:
        raise UnknownNameError("pool", pool, POOLS)
    special = special_ids(live.tokenizer)
    counted = [[token not in special for token in ids] for ids in encoded]
    if pool == "text":
        for row, inside in zip(counted, _inside(live, [Prompt(*prompt) for prompt in prompts], encoded), strict=True):
            row[:] = [plain and within for plain, within in zip(row, inside, strict=True)]
    return counted


def special_ids(tokenizer: Any) -> set[int]:
    """Ids of the special tokens. The sign for unknown text is none, where it has no other part to play: it is text."""
    marks = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    roles = {
        name: getattr(tokenizer, f"{name}_token_id", None)
        for name in ("unk", "bos", "eos", "pad", "sep", "cls", "mask")
    }
    unknown = roles.pop("unk")
    marks |= {token_id for token_id in roles.values() if token_id is not None}
    return marks if unknown in roles.values() else marks - {unknown}


def _inside(live: LiveModel, prompts: list[Prompt], encoded: Sequence[Sequence[int]]) -> list[list[bool]]:
    """Whether the characters of each token overlap those of the text."""
    from tokenizers import processors

    backend = getattr(live.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _unplaced(live)
    # Post-processing trims the white space off what a token stands for; a copy without it tells the truth.
    backend = copy.deepcopy(backend)
    backend.post_processor = processors.Sequence([])
    backend.no_truncation()
    backend.no_padding()
    found = []
    whole = ["".join(prompt) for prompt in prompts]
    for prompt, ids, encoding in zip(
        prompts, encoded, backend.encode_batch(whole, add_special_tokens=False), strict=True
    ):
        added, after = map(len, live.surrounding())
        if encoding.ids != list(ids[added : len(ids) - after]):
            raise _unplaced(live)
        start, end = len(prompt.before), len(prompt.before) + len(prompt.text)
        inside = [first < end and start < last for first, last in encoding.offsets]
        found.append([False] * added + inside + [False] * after)
    return found


def _unplaced(live: LiveModel) -> ModelError:
    return ModelError(
        f"the tokenizer of {live.model_id} does not say which characters a token stands for",
        "Use --pool prompt.",
    )
