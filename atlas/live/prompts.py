"""A prompt as the token ids that a spec's tokenization asks for."""

from __future__ import annotations

from collections.abc import Sequence

from atlas.errors import ModelError, UsageError
from atlas.live.chat_template import in_chat_template
from atlas.live.model import LiveModel
from atlas.live.token_ids import token_ids
from atlas.spec.document import Tokenization


def prompt_ids(live: LiveModel, tokenization: Tokenization, prompt: str) -> list[int]:
    """The token ids of `prompt`, after the beginning-of-sequence token or inside the chat template if asked.

    For an encoder `add_bos` puts its tokenizer's special tokens around the prompt, and there is no chat template.

    In the chat template the prompt is the user's only message, and the ids end where the answer begins. A
    template that writes the beginning-of-sequence token itself does not get a second one.

    Raises ModelError when the tokenizer lacks what the tokenization asks for, UsageError for a prompt of no
    tokens, of more than the model reads, or with a token that has no embedding.
    """
    tokenizer = live.tokenizer
    if live.head is not None:
        if tokenization.chat_template:
            live.require_generation("a chat template")
        before, after = live.around if tokenization.add_bos else ([], [])
        ids = [*before, *token_ids(live, [prompt])[0], *after]
        check_ids(live, ids)
        return ids
    if tokenization.chat_template:
        text = in_chat_template(tokenizer, prompt, live.model_id)
    else:
        text = prompt
    ids = list(token_ids(live, [text])[0])
    if tokenization.add_bos:
        if tokenizer.bos_token_id is None:
            raise ModelError(f"the tokenizer of {live.model_id} has no beginning-of-sequence token")
        if not (tokenization.chat_template and ids[:1] == [tokenizer.bos_token_id]):
            ids.insert(0, tokenizer.bos_token_id)
    check_ids(live, ids)
    return ids


def check_ids(live: LiveModel, ids: Sequence[int]) -> None:
    """Raise UsageError unless the model can read these token ids as one text."""
    if not ids:
        raise UsageError("the prompt has no tokens", "Give it at least one word.")
    if live.max_positions is not None and len(ids) > live.max_positions:
        raise UsageError(f"the prompt has {len(ids)} tokens, and {live.model_id} reads {live.max_positions}")
    if max(ids) >= live.d_vocab:
        raise UsageError(f"token {max(ids)} has no embedding: {live.model_id} knows {live.d_vocab}")
