"""The text that a model writes after a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from atlas.errors import ModelError
from atlas.live.model import LiveModel
from atlas.live.quiet import quiet


@dataclass(frozen=True)
class Decoding:
    """How the texts are generated. `temperature` None: greedy; else tokens are drawn, from all of them."""

    max_new_tokens: int = 30
    temperature: float | None = None
    seed: int = 0


def continuation(
    live: LiveModel, ids: Sequence[int], decoding: Decoding, told: Callable[[str], None] | None = None
) -> str:
    """The text that the model, under whatever edits are in force, writes after the tokens `ids`.

    `told` hears it piece by piece while it is written: characters that are whole. What it raises ends the writing.

    Raises ModelError where its probabilities are no numbers.
    """
    if not decoding.max_new_tokens:
        return ""
    input_ids = torch.tensor([list(ids)], device=live.device)
    # The checkpoint's own advice on sampling is left out: it would make "greedy" and "temperature" mean less.
    config = GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        do_sample=decoding.temperature is not None,
        num_beams=1,
        repetition_penalty=1.0,
        eos_token_id=live.model.generation_config.eos_token_id,
        pad_token_id=live.tokenizer.pad_token_id or 0,
        **({} if decoding.temperature is None else {"temperature": decoding.temperature, "top_k": 0, "top_p": 1.0}),
    )
    cuda = [live.device] if live.device.type == "cuda" else []
    with quiet(), torch.inference_mode(), torch.random.fork_rng(devices=cuda):
        torch.manual_seed(decoding.seed)
        try:
            found = live.model.generate(
                input_ids,
                attention_mask=torch.ones_like(input_ids),
                generation_config=config,
                streamer=None if told is None else _Pieces(live, ids, told),
            )
        except RuntimeError as error:  # sampling from probabilities that are not numbers
            raise ModelError(f"{live.model_id} stopped generating: {error}") from error
    return _written(live, ids, found[0, len(ids) :])


def _written(live: LiveModel, ids: Sequence[int], new: Tensor) -> str:
    """The text of the tokens `new` as they follow the tokens `ids`."""
    read = [list(ids) + new.tolist(), list(ids)]
    whole, start = (live.tokenizer.decode(part, skip_special_tokens=True) for part in read)
    # Decoded alone, a text of SentencePiece loses its first space.
    text: str = whole[len(start) :] if whole.startswith(start) else live.tokenizer.decode(new, skip_special_tokens=True)
    return text


class _Pieces(BaseStreamer):
    """Says what a generation adds to the text with each token."""

    def __init__(self, live: LiveModel, ids: Sequence[int], told: Callable[[str], None]) -> None:
        self._live, self._ids, self._told = live, ids, told
        self._new: list[int] | None = None  # the first that comes is the prompt
        self._said = ""

    def put(self, value: Tensor) -> None:
        """Tokens that were chosen."""
        if self._new is None:
            self._new = []
            return
        self._new += value.flatten().tolist()
        # A letter may take several tokens; until they are there it shows as a replacement character.
        self._say(_written(self._live, self._ids, torch.tensor(self._new)).rstrip("\ufffd"))

    def end(self) -> None:
        """All of them were."""
        if self._new:
            self._say(_written(self._live, self._ids, torch.tensor(self._new)))

    def _say(self, text: str) -> None:
        if text.startswith(self._said) and text != self._said:
            self._told(text[len(self._said) :])
            self._said = text
