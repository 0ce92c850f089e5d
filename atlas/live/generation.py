"""The text that a model writes after a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig

from atlas.errors import ModelError
from atlas.live.model import LiveModel
from atlas.live.quiet import quiet


@dataclass(frozen=True)
class Decoding:
    """How the texts are generated. `temperature` None: greedy; else tokens are drawn, from all of them."""

    max_new_tokens: int = 30
    temperature: float | None = None
    seed: int = 0


def continuation(live: LiveModel, ids: Sequence[int], decoding: Decoding) -> str:
    """The text that the model, under whatever edits are in force, writes after the tokens `ids`.

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
            found = live.model.generate(input_ids, attention_mask=torch.ones_like(input_ids), generation_config=config)
        except RuntimeError as error:  # sampling from probabilities that are not numbers
            raise ModelError(f"{live.model_id} stopped generating: {error}") from error
    whole, start = (live.tokenizer.decode(part, skip_special_tokens=True) for part in (found[0], ids))
    # Decoded alone, a text of SentencePiece loses its first space.
    new = found[0, len(ids) :]
    text: str = whole[len(start) :] if whole.startswith(start) else live.tokenizer.decode(new, skip_special_tokens=True)
    return text
